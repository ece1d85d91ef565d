package configs

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// YAML writes values as a file that Load reads back. With origins, a comment says where each comes from.
func YAML(values []Value, origins bool) ([]byte, error) {
	var b bytes.Buffer
	section := ""
	for _, v := range values {
		name := v.Key
		if at := strings.LastIndexByte(name, '.'); at >= 0 {
			if name[:at] != section {
				section = name[:at]
				fmt.Fprintf(&b, "%s:\n", section)
			}
			name = "  " + name[at+1:]
		}
		text, err := yaml.Marshal(v.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Key, err)
		}
		line := fmt.Sprintf("%s: %s", name, bytes.TrimSpace(text))
		if origins {
			line = fmt.Sprintf("%-40s # %s", line, v.Origin)
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	return b.Bytes(), nil
}
