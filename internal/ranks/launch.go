package ranks

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Secret is the environment variable of a secret that the ranks of a job share. Without it, it is made of the job's
// number, which keeps jobs apart but no attackers out.
const Secret = "HISTDIST_JOB_SECRET"

// Port is the environment variable of the port on which rank 0 listens, instead of the launcher's.
const Port = "HISTDIST_PORT"

// Launch is the place of a process in its job.
type Launch struct {
	By         string // the launcher
	Rank, Size int
	Local      int    // the process's number on its machine
	Address    string // where rank 0 listens, host:port
	Secret     []byte
}

// Find reads the launcher's environment; nil for a process that is alone.
func Find(getenv func(string) string) (*Launch, error) {
	for _, read := range []func(environment) (*Launch, error){torchrun, openMPI, slurm} {
		l, err := read(environment{get: getenv})
		if err != nil {
			return nil, err
		}
		if l == nil {
			continue
		}
		if l.Size == 1 {
			return nil, nil
		}
		return l, nil
	}
	return nil, nil
}

// environment reads variables and keeps what was wrong with them.
type environment struct {
	get  func(string) string
	errs *[]error
}

// number is a variable's, from low up to below high.
func (e environment) number(name string, low, high int) int {
	n, err := strconv.Atoi(e.get(name))
	if err != nil || n < low || n >= high {
		*e.errs = append(*e.errs, fmt.Errorf("%s is %q: want a number from %d to %d", name, e.get(name), low, high-1))
		return low
	}
	return n
}

// either is the first of some variables that is set.
func (e environment) either(names ...string) string {
	for _, name := range names {
		if s := e.get(name); s != "" {
			return s
		}
	}
	return ""
}

const (
	most  = 1 << 16 // ranks
	ports = 1 << 16
)

// launch fills what all launchers have: variables of rank, size and local rank, the job's identity, and the address,
// which MASTER_ADDR and MASTER_PORT override.
func (e environment) launch(by, rank, size, local string, host string, port int, job ...string) (*Launch, error) {
	var errs []error
	e.errs = &errs
	l := &Launch{By: by, Size: e.number(size, 1, most)}
	l.Rank, l.Local = e.number(rank, 0, max(1, l.Size)), e.number(local, 0, most)
	if s := e.get("MASTER_ADDR"); s != "" {
		host = s
	}
	if e.get("MASTER_PORT") != "" {
		port = e.number("MASTER_PORT", 1, ports)
		if strings.EqualFold(e.get("TORCHELASTIC_USE_AGENT_STORE"), "true") {
			port++ // torchrun itself listens there
		}
	}
	if e.get(Port) != "" {
		port = e.number(Port, 1, ports)
	}
	if host == "" && l.Size > 1 {
		errs = append(errs, errors.New("MASTER_ADDR is not set: want the name of rank 0's machine"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("started by %s: %w", by, err)
	}
	l.Address = net.JoinHostPort(host, strconv.Itoa(port))
	secret := e.get(Secret)
	if secret == "" {
		secret = "job " + by
		for _, name := range job {
			secret += " " + e.get(name)
		}
	}
	sum := sha256.Sum256([]byte(secret))
	l.Secret = sum[:]
	return l, nil
}

// torchrun also is every launcher that sets the same variables as it, such as Kubeflow's for PyTorch.
func torchrun(e environment) (*Launch, error) {
	if e.get("RANK") == "" || e.get("WORLD_SIZE") == "" || e.get("MASTER_ADDR") == "" || e.get("MASTER_PORT") == "" {
		return nil, nil
	}
	local := "LOCAL_RANK"
	if e.get(local) == "" {
		local = "RANK" // of one machine
	}
	return e.launch("torchrun", "RANK", "WORLD_SIZE", local, "", 0,
		"MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT")
}

// defaultPort is PyTorch's.
const defaultPort = 29500

// openMPI doesn't say where rank 0 is, unless all are on this machine.
func openMPI(e environment) (*Launch, error) {
	const size = "OMPI_COMM_WORLD_SIZE"
	if e.get("OMPI_COMM_WORLD_RANK") == "" || e.get(size) == "" {
		return nil, nil
	}
	host := ""
	if e.get("OMPI_COMM_WORLD_LOCAL_SIZE") == e.get(size) {
		host = "127.0.0.1"
	}
	return e.launch("Open MPI", "OMPI_COMM_WORLD_RANK", size, "OMPI_COMM_WORLD_LOCAL_RANK", host, defaultPort,
		"PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid")
}

// slurm is srun: in the shell of a job there is a rank too, but of one.
func slurm(e environment) (*Launch, error) {
	size := "SLURM_STEP_NUM_TASKS"
	if e.get(size) == "" {
		size = "SLURM_NTASKS"
	}
	if e.get("SLURM_PROCID") == "" || e.get(size) == "" {
		return nil, nil
	}
	// A port for each job, below those that systems give out by themselves.
	job, _ := strconv.Atoi(e.get("SLURM_JOB_ID"))
	port := 15000 + job%15000
	return e.launch("Slurm", "SLURM_PROCID", size, "SLURM_LOCALID",
		firstNode(e.either("SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST", "SLURM_NODELIST")), port,
		"SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT")
}
