package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/histdist/histdist/internal/option"
)

// decodeList sets an option that is a list of structs. In a file it is a sequence of mappings; elsewhere its text is
// the same in YAML: [{dir: MIST/ER, marker: ER}, {dir: MIST/HER2, marker: HER2}]. Every error is reported.
func decodeList(o option.Field, w written) error {
	list := w.list
	if list == nil {
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(w.text), &document); err != nil {
			return fmt.Errorf("want a list in YAML, such as %s: %w", exampleList(o), err)
		}
		if len(document.Content) > 0 {
			list = document.Content[0]
		}
	}
	if list == nil || list.Kind != yaml.SequenceNode {
		return fmt.Errorf("want a list, such as %s", exampleList(o))
	}
	values := reflect.MakeSlice(o.Var.Type(), 0, len(list.Content))
	var errs []error
	for i, node := range list.Content {
		element := reflect.New(o.Var.Type().Elem())
		if d, ok := element.Interface().(interface{ Defaults() }); ok {
			d.Defaults()
		}
		for _, err := range decodeElement(element, node) {
			at := fmt.Sprintf("element %d", i+1)
			if w.list != nil {
				at += fmt.Sprintf(", line %d", node.Line)
			}
			errs = append(errs, fmt.Errorf("%s: %w", at, err))
		}
		values = reflect.Append(values, element.Elem())
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	o.Var.Set(values)
	return nil
}

// decodeElement sets the options of a struct from a mapping.
func decodeElement(element reflect.Value, node *yaml.Node) (errs []error) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	k := &keys{options: option.Fields(element.Interface())}
	if node.Kind != yaml.MappingNode {
		return []error{fmt.Errorf("%s: want keys and values: %s", shorten(node.Value), strings.Join(k.names(), ", "))}
	}
	var seen []string
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i].Value, node.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		o, known := k.find(name, "")
		switch {
		case !known:
			errs = append(errs, k.unknown(name))
		case slices.Contains(seen, name):
			errs = append(errs, fmt.Errorf("%s is given twice", name))
		case value.Kind != yaml.ScalarNode || value.ShortTag() == "!!null":
			errs = append(errs, fmt.Errorf("%s: want a %s", name, o.Kind()))
		default:
			if err := decode(o.Var, written{text: value.Value, tag: value.ShortTag()}); err != nil {
				errs = append(errs, fmt.Errorf("%s: %s: %w", name, shorten(value.Value), err))
			}
		}
		seen = append(seen, name)
	}
	return errs
}

// listText is a list of structs in YAML, in one line: of each element the values that differ from its defaults.
func listText(o option.Field) string {
	defaults := o.Elements()
	list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for i := range o.Var.Len() {
		element := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for j, f := range option.Fields(o.Var.Index(i).Interface()) {
			if plain(f) == plain(defaults[j]) {
				continue
			}
			var name, value yaml.Node
			name.SetString(f.Key)
			if err := value.Encode(plain(f)); err != nil {
				continue // bools, numbers and texts have no errors
			}
			element.Content = append(element.Content, &name, &value)
		}
		list.Content = append(list.Content, element)
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\n", " "))
}

// exampleList is a list with the names of all keys.
func exampleList(o option.Field) string {
	var names []string
	for _, f := range o.Elements() {
		names = append(names, f.Key+": …")
	}
	return "[{" + strings.Join(names, ", ") + "}]"
}
