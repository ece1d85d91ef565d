package atomicfile

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/histdist/histdist/internal/flock"
)

// temporary ends the name of a file that Create began, and of no other program's. Before it are Host, thisBoot and a
// number.
const temporary = ".histdist-new"

// renamesOpen says whether a file can be renamed and removed while it is open.
const renamesOpen = runtime.GOOS != "windows"

// Sweep removes the files of a folder, as far as it can, that processes which have ended began to Create. Those of this
// machine, its containers included, are known by their locks. Some file systems' locks don't reach other machines: of
// these the caller names the Hosts where no process that writes here runs any more.
func Sweep(folder string, hosts ...string) {
	gone := map[string]bool{}
	for _, host := range hosts {
		gone[host] = true
	}
	sweep(folder, func(host, boot string) (ours, sure bool) {
		return gone[host] || host == Host() || boot != noBoot && boot == thisBoot(), gone[host]
	})
}

// SweepAll does so whichever machine began them: no other may be writing in the folder.
func SweepAll(folder string) {
	sweep(folder, func(string, string) (ours, sure bool) { return true, true })
}

// Host stands for this machine in the names of the files that it Creates.
var Host = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	machine, err := os.ReadFile("/etc/machine-id") // for hosts of one name
	if err != nil {
		machine = nil
	}
	return tag(name + "\n" + string(machine))
})

// thisBoot stands for the kernel that runs here, in whichever container: a lock reaches all of its processes.
var thisBoot = sync.OnceValue(func() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return noBoot
	}
	return tag(string(id))
})

// noBoot is thisBoot on systems that don't say.
const noBoot = "00000000"

// tag is a text in so many letters.
func tag(text string) string {
	h := fnv.New32a()
	h.Write([]byte(text))
	return fmt.Sprintf("%0*x", len(noBoot), h.Sum32())
}

// sweep removes files that are ours unless a process holds their locks; where there are no locks if it is sure.
func sweep(folder string, whose func(host, boot string) (ours, sure bool)) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	const n = len(noBoot)
	for _, e := range entries {
		name, begun := strings.CutSuffix(e.Name(), temporary)
		unique := name[strings.LastIndex(name, ".")+1:]
		if !begun || len(unique) < 2*n {
			continue
		}
		if ours, sure := whose(unique[:n], unique[n:2*n]); ours {
			remove(filepath.Join(folder, e.Name()), sure)
		}
	}
}

// remove removes a file unless a process holds its lock; without locks if it is sure.
func remove(path string, sure bool) {
	if !renamesOpen {
		// Its writer closes it before it is renamed, and could neither rename nor remove it while it is open here.
		const settled = time.Minute
		if info, err := os.Stat(path); err != nil || time.Since(info.ModTime()) < settled {
			return
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer f.Close()
	if err := flock.Try(f); errors.Is(err, flock.ErrHeld) || err != nil && !sure || !flock.At(f, path) {
		return
	}
	if !renamesOpen {
		_ = f.Close()
	}
	_ = os.Remove(path)
}
