import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.HashMap;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/** A service and its clients; threads that allocate; a timer; a map that must stay what it is. */
class Service {
    public static void main(String[] arguments) throws Exception {
        var started = System.nanoTime();
        var requests = new AtomicLong();
        var allocated = new AtomicLong();
        var ticks = new AtomicLong();
        var entries = new HashMap<Integer, String>();
        for (int i = 0; i < 200_000; i++) entries.put(i, "entry " + i);

        var server = HttpServer.create(new InetSocketAddress(8000), 0);
        server.setExecutor(Executors.newFixedThreadPool(4));
        server.createContext("/facts", exchange -> {
            long sum = entries.entrySet().stream().mapToLong(entry -> entry.getKey() ^ entry.getValue().hashCode()).sum();
            var body = "requests %d\nallocated %d\nticks %d\nstarted %d\nsum %d\n"
                .formatted(requests.get(), allocated.get(), ticks.get(), started, sum).getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        server.createContext("/", exchange -> {
            requests.incrementAndGet();
            exchange.sendResponseHeaders(200, 5);
            exchange.getResponseBody().write("hello".getBytes());
            exchange.close();
        });
        server.start();
        Executors.newScheduledThreadPool(1).scheduleAtFixedRate(ticks::incrementAndGet, 0, 50, TimeUnit.MILLISECONDS);

        var client = HttpClient.newHttpClient();
        var request = HttpRequest.newBuilder(URI.create("http://127.0.0.1:8000/")).build();
        for (int thread = 0; thread < 2; thread++) {
            Thread.startVirtualThread(() -> {
                while (true) {
                    try {
                        client.send(request, BodyHandlers.ofString());
                        Thread.sleep(10);
                    } catch (Exception again) {
                        // The connection was closed: the next one is another.
                    }
                }
            });
        }
        byte[][] kept = new byte[64][];
        for (int i = 0; ; i++) {
            kept[i % kept.length] = new byte[1 << 18];
            allocated.addAndGet(1 << 18);
            if (i % 16 == 0) Thread.sleep(5);
        }
    }
}
