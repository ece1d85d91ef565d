package configs

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Comments says what YAML writes about each value.
type Comments int

// Each of them includes those before it.
const (
	NoComments Comments = iota
	Origins             // where the value comes from
	Meanings            // what the key means and which values it takes
)

// YAML writes values as a file that Load reads back.
func YAML(values []Value, comments Comments) ([]byte, error) {
	var b bytes.Buffer
	section := ""
	for _, v := range values {
		name, indent := v.Key, ""
		if at := strings.LastIndexByte(name, '.'); at >= 0 {
			if name[:at] != section {
				section = name[:at]
				fmt.Fprintf(&b, "%s:\n", section)
			}
			name, indent = name[at+1:], "  "
		}
		var text []byte
		if list, ok := v.Value.(string); ok && v.Elements() != nil {
			text = []byte(list)
		} else {
			var err error
			if text, err = yaml.Marshal(v.Value); err != nil {
				return nil, fmt.Errorf("%s: %w", v.Key, err)
			}
		}
		line := fmt.Sprintf("%s%s: %s", indent, name, bytes.TrimSpace(text))
		if comments >= Meanings {
			meaning := v.Usage
			if v.Want != "" && v.Kind() != "text" {
				meaning += "; " + v.Want
			}
			fmt.Fprintf(&b, "%s# %s\n", indent, meaning)
		}
		if comments >= Origins {
			line = fmt.Sprintf("%-40s # %s", line, v.Origin)
		}
		fmt.Fprintln(&b, strings.TrimRight(line, " "))
	}
	return b.Bytes(), nil
}
