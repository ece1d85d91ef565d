// Package queue keeps the jobs of a server in a folder, does them one after the other on each device, and loses none:
// not when the process is killed, not when the disk is full. It knows nothing of HTTP and nothing of networks: what a
// job means, its Run knows.
//
//	Add ─▶ queued ─ claim, fair between users ─▶ running ─ Run returns ─▶ done, failed or cancelled ─ Keep ─▶ gone
//	          ▲                                    │
//	          └── the server stops, or is killed ──┘
//
// Jobs are rows in SQLite; the files of a job are a folder that belongs to its Run. A job that ran when the process
// ended runs again, before others, in the folder as it was left: Run goes on with what is there, and returns at once if
// its results are whole. So a job is never done twice, except for the part of it that had not reached the disk.
//
// How far a running job is, is kept in memory; it is stored in steps, for the next process to show.
//
//	job.go      Job, its states and its progress
//	queue.go    Queue: Open, Add, Get, List, Cancel, Delete, Close
//	worker.go   one worker for each device
//	fair.go     the order in which jobs are done
//	watch.go    who wants to know of changes
//	expire.go   when ended jobs are deleted, and the clock for that
//	store.go    the database;  migrate.go and migrations: its schema
package queue
