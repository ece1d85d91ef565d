// Package mlflow sends the parameters, metrics and images of a training to an MLflow server by its REST API.
//
// A Run is written to without waiting: what is to be sent waits in a bounded queue, from which one goroutine takes it,
// and tries again while the server can't be reached (run.go, queue.go). What the server doesn't get is counted, and the
// training goes on without it. client.go has the requests.
package mlflow
