package lockfile

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// Owner is a process that holds a lock. Texts that a system doesn't have are "".
type Owner struct {
	PID   int       `json:"pid"` // 0: unknown
	Host  string    `json:"host"`
	Since time.Time `json:"since"` // when it took the lock

	Machine   string `json:"machine"`   // of the host, for hosts of one name
	Boot      string `json:"boot"`      // of the machine: processes of an earlier one don't run
	Namespace string `json:"namespace"` // that the PID is of: a container has its own
	Started   string `json:"started"`   // the process, in ticks since Boot: a PID comes again
}

func (o Owner) String() string {
	if o.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d on %s (since %s)", o.PID, o.Host, o.Since.Format("2006-01-02 15:04 MST"))
}

func (o Owner) text() ([]byte, error) {
	text, err := json.Marshal(o)
	return append(text, '\n'), err
}

// parseOwner reads an owner; the zero Owner if the text is not one.
func parseOwner(text []byte) Owner {
	var o Owner
	if json.Unmarshal(text, &o) != nil {
		return Owner{}
	}
	return o
}

// ThisProcess is the process that calls, as the owner of what it takes now.
func ThisProcess() Owner {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	pid := os.Getpid()
	namespace, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		namespace = ""
	}
	return Owner{
		PID: pid, Host: host, Since: time.Now().UTC().Truncate(time.Second),
		Machine: line("/etc/machine-id"), Boot: line("/proc/sys/kernel/random/boot_id"),
		Namespace: namespace, Started: started(pid),
	}
}

// line returns the text of a one-line file; "" if it can't be read.
func line(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// started returns when a process began, on Linux: field 22 of its stat, after its name, which may have spaces. It is ""
// elsewhere and for zombies.
func started(pid int) string {
	stat := line("/proc/" + strconv.Itoa(pid) + "/stat")
	fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return ""
	}
	return fields[19]
}

type state int

const (
	unknown state = iota // it may run where this process can't see it
	running
	dead
)

// Died reports whether an owner has ended for sure, as far as another can see: on the same machine.
func (o Owner) Died(me Owner) bool { return o.state(me) == dead }

// state reports whether an owner still runs, as far as me can see.
func (o Owner) state(me Owner) state {
	switch {
	case o.PID == 0 || o.Host != me.Host || o.Machine != me.Machine:
		return unknown
	case o.Boot != me.Boot:
		if o.Machine == "" { // another machine may have the name
			return unknown
		}
		return dead
	case o.Namespace != me.Namespace:
		return unknown
	case !runs(o.PID), o.Started != "" && started(o.PID) != o.Started:
		return dead
	}
	return running
}
