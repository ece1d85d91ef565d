package hostinfo_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/internal/hostinfo"
)

// Lines of /proc/self/mountinfo.
const (
	mountProc   = "23 1 0:21 / /proc rw,nosuid - proc proc rw\n"
	mountV2     = "41 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
	mountHybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n" +
		"34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" +
		"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	groupsV1 = "9:name=systemd:/\n4:memory:/box/a\n3:cpuset:/\n2:cpu,cpuacct:/box/a\n0::/elsewhere\n"
)

func files(contents map[string]string) fstest.MapFS {
	root := fstest.MapFS{}
	for name, text := range contents {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return root
}

func TestThreadsFollowQuotaAndAffinity(t *testing.T) {
	one := "one for each core"
	for _, test := range []struct {
		name       string
		files      map[string]string
		usable     int
		gomaxprocs string
		want       hostinfo.Threads
	}{
		{"not Linux", nil, 8, "", hostinfo.Threads{Count: 8, Reason: one}},
		{"no limit", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountProc + mountV2, "sys/devices/system/cpu/online": "0-7\n",
		}, 8, "", hostinfo.Threads{Count: 8, Reason: one}},
		{"affinity", map[string]string{"sys/devices/system/cpu/online": "0-3,8,10-12\n"}, 3, "", hostinfo.Threads{
			Count: 3, Reason: "from the CPU affinity (taskset, cpuset): the machine has 8 cores",
		}},
		{"version 2, max", map[string]string{
			"proc/self/cgroup": "0::/box\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/box/cpu.max": "max 100000\n",
		}, 8, "", hostinfo.Threads{Count: 8, Reason: one}},
		{"version 2, a fraction is rounded up", map[string]string{
			"proc/self/cgroup": "0::/box\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/box/cpu.max": "250000 100000\n",
		}, 8, "", hostinfo.Threads{Count: 3, Reason: "from the limit of 2.5 cores in /sys/fs/cgroup/box/cpu.max"}},
		{"version 2, less than one core", map[string]string{
			"proc/self/cgroup": "0::/box\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/box/cpu.max": "20000 100000\n",
		}, 8, "", hostinfo.Threads{Count: 1, Reason: "from the limit of 0.2 cores in /sys/fs/cgroup/box/cpu.max"}},
		{"version 2, without a period", map[string]string{
			"proc/self/cgroup": "0::/box\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/box/cpu.max": "400000\n",
		}, 8, "", hostinfo.Threads{Count: 4, Reason: "from the limit of 4 cores in /sys/fs/cgroup/box/cpu.max"}},
		{"version 2, a group above is tighter", map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod/box\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/kubepods/pod/box/cpu.max": "600000 100000\n",
			"sys/fs/cgroup/kubepods/pod/cpu.max":     "100000 50000\n",
			"sys/fs/cgroup/kubepods/cpu.max":         "max 100000\n",
		}, 8, "", hostinfo.Threads{Count: 2, Reason: "from the limit of 2 cores in /sys/fs/cgroup/kubepods/pod/cpu.max"}},
		{"version 2 in a container's namespace", map[string]string{
			"proc/self/cgroup":           "0::/\n",
			"proc/self/mountinfo":        "41 23 0:26 /../../docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			"sys/fs/cgroup/cpu.max":      "150000 100000\n",
			"sys/fs/cgroup/sub/cpu.max":  "1000 100000\n",
			"sys/fs/cgroup/memory.max":   "max\n",
			"sys/fs/cgroup/cgroup.procs": "1\n",
		}, 8, "", hostinfo.Threads{Count: 2, Reason: "from the limit of 1.5 cores in /sys/fs/cgroup/cpu.max"}},
		{
			"version 1, nested",
			map[string]string{
				"proc/self/cgroup": groupsV1, "proc/self/mountinfo": mountProc + mountHybrid,
				"sys/fs/cgroup/cpu,cpuacct/box/a/cpu.cfs_quota_us":  "-1\n",
				"sys/fs/cgroup/cpu,cpuacct/box/a/cpu.cfs_period_us": "100000\n",
				"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us":    "350000\n",
				"sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us":   "100000\n",
				"sys/fs/cgroup/unified/elsewhere/cpu.max":           "100000 100000\n",
			},
			8, "",
			hostinfo.Threads{
				Count: 4, Reason: "from the limit of 3.5 cores in /sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us",
			},
		},
		{
			"version 1, the container's group is the mount's root",
			map[string]string{
				"proc/self/cgroup":                          "4:cpu,cpuacct:/docker/abc\n",
				"proc/self/mountinfo":                       "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu\\040quota ro - cgroup cgroup rw,cpu,cpuacct\n",
				"sys/fs/cgroup/cpu quota/cpu.cfs_quota_us":  "200000\n",
				"sys/fs/cgroup/cpu quota/cpu.cfs_period_us": "100000\n",
			},
			8, "",
			hostinfo.Threads{Count: 2, Reason: "from the limit of 2 cores in /sys/fs/cgroup/cpu quota/cpu.cfs_quota_us"},
		},
		{"a limit above the affinity", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/cpu.max": "800000 100000\n",
			"sys/devices/system/cpu/online": "0-1\n",
		}, 2, "", hostinfo.Threads{Count: 2, Reason: one}},
		{"nonsense is no limit", map[string]string{
			"proc/self/cgroup": "0::/\nnonsense\n::\n", "proc/self/mountinfo": "\n- -\n" + mountV2, "sys/fs/cgroup/cpu.max": "NaN 0\n",
			"sys/devices/system/cpu/online": "3-1,x\n",
		}, 2, "", hostinfo.Threads{Count: 2, Reason: one}},
		{"GOMAXPROCS", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/cpu.max": "100000 100000\n",
		}, 8, "6", hostinfo.Threads{Count: 6, Reason: "from GOMAXPROCS"}},
		{"GOMAXPROCS of no value", nil, 8, "many", hostinfo.Threads{Count: 8, Reason: one}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, hostinfo.ThreadsFor(files(test.files), test.usable, test.gomaxprocs)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestMemoryLimitOfGroupsAbove(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  uint64
	}{
		{"none", nil, 0},
		{"version 2", map[string]string{
			"proc/self/cgroup": "0::/box/a\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/box/a/memory.max": "max\n", "sys/fs/cgroup/box/memory.max": "6442450944\n",
		}, 6 << 30},
		{"version 1", map[string]string{
			"proc/self/cgroup": groupsV1, "proc/self/mountinfo": mountHybrid,
			"sys/fs/cgroup/memory/box/a/memory.limit_in_bytes": "2147483648\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":       "9223372036854771712\n",
		}, 2 << 30},
		{"version 1, unlimited", map[string]string{
			"proc/self/cgroup": groupsV1, "proc/self/mountinfo": mountHybrid,
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
	} {
		if got := hostinfo.MemoryLimit(files(test.files)); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
		}
	}
}

// FuzzThreads feeds what the system's files may say: there is always at least one thread, and never more than usable
// processors.
func FuzzThreads(f *testing.F) {
	f.Add(groupsV1, mountHybrid, "250000 100000", "0-3")
	f.Add("0::/../a", mountV2, "max 100000", "0")
	f.Fuzz(func(t *testing.T, groups, mounts, limit, online string) {
		got := hostinfo.ThreadsFor(files(map[string]string{
			"proc/self/cgroup": groups, "proc/self/mountinfo": mounts, "sys/fs/cgroup/cpu.max": limit, "sys/devices/system/cpu/online": online,
		}), 4, "")
		if got.Count < 1 || got.Count > 4 || got.Reason == "" {
			t.Errorf("got %+v", got)
		}
	})
}
