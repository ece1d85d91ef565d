package atomicfile

import "path/filepath"

// HiddenOn is a hidden name of a file that a machine began to Create, if this kernel runs there or another.
func HiddenOn(path, host string, here bool) string {
	boot := "ffffffff"
	if here {
		boot = thisBoot()
	}
	return filepath.Join(filepath.Dir(path), hidden(filepath.Base(path))+"."+host+boot+"1"+temporary)
}
