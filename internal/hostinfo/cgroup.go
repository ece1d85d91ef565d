package hostinfo

import (
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
)

// cpuQuota is how many processors' time the process's control group and those above it grant, such as 1.5, and the file
// that says so; 0 and "" where nothing limits it. Of several limits the lowest counts. root is the root of the file
// system.
func cpuQuota(root fs.FS) (processors float64, file string) {
	folders, version := controlGroups(root, "cpu")
	for _, folder := range folders {
		name, quota := path.Join(folder, "cpu.max"), 0.0
		if version == 1 {
			name = path.Join(folder, "cpu.cfs_quota_us")
			quota = ratio(readLine(root, name), readLine(root, path.Join(folder, "cpu.cfs_period_us")))
		} else {
			q, period, _ := strings.Cut(readLine(root, name), " ") // "max 100000" without a limit
			quota = ratio(q, period)
		}
		if quota > 0 && (processors == 0 || quota < processors) {
			processors, file = quota, "/"+name
		}
	}
	return processors, file
}

// memoryLimit is how many bytes the process's control group and those above it may use; 0 where nothing limits it. root
// is the root of the file system. Version 1 writes a number near the largest where there is no limit.
func memoryLimit(root fs.FS) uint64 {
	folders, version := controlGroups(root, "memory")
	name := "memory.max"
	if version == 1 {
		name = "memory.limit_in_bytes"
	}
	var lowest uint64
	for _, folder := range folders {
		limit, err := strconv.ParseUint(readLine(root, path.Join(folder, name)), 10, 64)
		if err == nil && limit < math.MaxInt64/2 && (lowest == 0 || limit < lowest) {
			lowest = limit
		}
	}
	return lowest
}

// controlGroups lists the folders, relative to root, of the process's control group and of those above it, as far as
// they can be seen from here, and the version of cgroups that has this controller: a system may have some in version 1
// and others in 2.
func controlGroups(root fs.FS, controller string) (folders []string, version int) {
	group, version := groupOf(root, controller)
	if version == 0 {
		return nil, 0
	}
	top, below := "", group
	for line := range strings.Lines(readFile(root, "proc/self/mountinfo")) {
		// 31 23 0:26 ROOT POINT rw,… shared:9 - cgroup2 cgroup rw,…: POINT shows the hierarchy from ROOT on.
		mount, kind, _ := strings.Cut(strings.TrimSpace(line), " - ")
		fields, kinds := strings.Fields(mount), strings.Fields(kind)
		if len(fields) < 5 || len(kinds) < 3 {
			continue
		}
		right := kinds[0] == "cgroup2"
		if version == 1 {
			right = kinds[0] == "cgroup" && slices.Contains(strings.Split(kinds[2], ","), controller)
		}
		if !right {
			continue
		}
		if rest, within := cutFolder(group, path.Join("/", unescape(fields[3]))); within || top == "" {
			top, below = unescape(fields[4]), rest
			if within {
				break
			}
		}
	}
	if top == "" {
		return nil, 0
	}
	for {
		folders = append(folders, strings.TrimPrefix(path.Join(top, below), "/"))
		if below == "/" {
			return folders, version
		}
		below = path.Dir(below)
	}
}

// groupOf is the path of the process's control group in the hierarchy of a controller, and that hierarchy's version; 0
// for none.
func groupOf(root fs.FS, controller string) (group string, version int) {
	for line := range strings.Lines(readFile(root, "proc/self/cgroup")) {
		// 4:cpu,cpuacct:/a/b in version 1, 0::/a/b in version 2.
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		if len(fields) < 3 {
			continue
		}
		clean := path.Join("/", fields[2]) // a group outside of the process's namespace begins with /..
		if slices.Contains(strings.Split(fields[1], ","), controller) {
			return clean, 1
		}
		if fields[0] == "0" && fields[1] == "" {
			group, version = clean, 2
		}
	}
	return group, version
}

// cutFolder is the rest of a path below a folder, beginning with a slash; "/" if the path is not there.
func cutFolder(p, folder string) (rest string, within bool) {
	if folder == "/" {
		return p, true
	}
	rest, within = strings.CutPrefix(p, folder)
	if !within || rest != "" && rest[0] != '/' {
		return "/", false
	}
	return path.Join("/", rest), true
}

// unescape replaces the octal escapes of mountinfo: blanks and backslashes.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// ratio is quota/period, 0 for no limit. The kernel's default period is 100000.
func ratio(quota, period string) float64 {
	q, err := strconv.ParseFloat(quota, 64)
	if err != nil {
		return 0
	}
	p := 100000.0
	if period != "" {
		if p, err = strconv.ParseFloat(period, 64); err != nil {
			return 0
		}
	}
	if r := q / p; q > 0 && p > 0 && !math.IsInf(r, 0) {
		return r
	}
	return 0
}

func readFile(root fs.FS, name string) string {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return "" // as good as a system without it
	}
	return string(text)
}

func readLine(root fs.FS, name string) string { return strings.TrimSpace(readFile(root, name)) }
