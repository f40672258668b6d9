package main

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

func main() {
	started := time.Now().UnixNano()
	entries := make(map[int]int)
	for i := 0; i < 100_000; i++ {
		entries[i] = i * 7
	}
	var ticks atomic.Int64
	for i := 0; i < 50; i++ {
		go func() {
			for range time.Tick(100 * time.Millisecond) {
				ticks.Add(1)
			}
		}()
	}
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") })
	http.HandleFunc("/facts", func(w http.ResponseWriter, _ *http.Request) {
		sum := 0
		for _, value := range entries {
			sum += value
		}
		fmt.Fprintf(w, "ticks %d\nstarted %d\nsum %d\n", ticks.Load(), started, sum)
	})
	panic(http.ListenAndServe(":8000", nil))
}
