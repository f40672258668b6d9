use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let ticks = Arc::new(AtomicU64::new(0));
    for _ in 0..50 {
        let ticks = ticks.clone();
        tokio::spawn(async move {
            let mut interval = tokio::time::interval(Duration::from_millis(100));
            loop {
                interval.tick().await;
                ticks.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let listener = tokio::net::TcpListener::bind("0.0.0.0:8000").await.unwrap();
    loop {
        let (mut stream, _) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(_) => continue,
        };
        let ticks = ticks.clone();
        tokio::spawn(async move {
            let mut request = [0u8; 4096];
            let read = stream.read(&mut request).await.unwrap_or(0);
            let body = if request[..read].starts_with(b"GET /facts") {
                format!("ticks {}\nstarted {}\n", ticks.load(Ordering::Relaxed), started)
            } else {
                "hello\n".to_string()
            };
            let answer = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}", body.len(), body);
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}
