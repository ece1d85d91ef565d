// Package ranks is what the processes of one training tell each other apart from numbers, which NCCL moves: who they
// are, that they are set up alike, and that they are still there. It is pure Go and knows nothing of training.
//
// A launcher (torchrun, Slurm's srun, Open MPI's mpirun) starts a process for each GPU and tells it its rank. Rank 0
// listens, the others connect to it, and these connections stay until the end:
//
//	Find ─ Launch ─▶ Join ─ Job ─┬─ Agree        all have the same configuration, version and data
//	                             ├─ FromFirst    NCCL's identifier
//	                             ├─ At           what this process does now
//	                             ├─ Context      ends when a rank is gone, hangs or fails
//	                             └─ Leave        all end together
//
// A process that is killed closes its connection; a machine that disappears sends no heartbeats any more; a process
// that hangs does not reach the sum that the others wait for. Rank 0 sees all three and tells the others, so that each
// ends with the same Error, which names the culprit.
//
//	launch.go    the launchers' environments; nodes.go: Slurm's lists of machines
//	wire.go      authenticated messages over a connection
//	meet.go      how ranks find each other
//	job.go       Job; agree.go: what it compares; watch.go: who is gone or hangs
package ranks
