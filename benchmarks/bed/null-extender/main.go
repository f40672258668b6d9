// An extender that decides nothing: it decodes with the types of kube-scheduler itself and gives back what it was given.
// The least that an extender in Go can cost.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"

	v1 "k8s.io/kube-scheduler/extender/v1"
)

func main() {
	http.HandleFunc("/v1/filter", verb(func(args *v1.ExtenderArgs) any {
		return &v1.ExtenderFilterResult{Nodes: args.Nodes, NodeNames: args.NodeNames}
	}))
	http.HandleFunc("/v1/prioritize", verb(func(args *v1.ExtenderArgs) any {
		scores := v1.HostPriorityList{}
		if args.NodeNames != nil {
			for _, name := range *args.NodeNames {
				scores = append(scores, v1.HostPriority{Host: name})
			}
		}
		return &scores
	}))
	http.HandleFunc("/v1/preempt", verb(func(args *v1.ExtenderPreemptionArgs) any {
		return &v1.ExtenderPreemptionResult{NodeNameToMetaVictims: args.NodeNameToMetaVictims}
	}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	panic(http.Serve(listener, nil))
}

func verb[T any](answer func(*T) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		args := new(T)
		if err := json.NewDecoder(r.Body).Decode(args); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer(args))
	}
}
