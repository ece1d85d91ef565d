package atomicfile

import "path/filepath"

// HiddenOn is a hidden name of a file that another machine began to Create.
func HiddenOn(path, host string) string {
	return filepath.Join(filepath.Dir(path), hidden(filepath.Base(path))+"."+hostTag(host)+"1"+temporary)
}
