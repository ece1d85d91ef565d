package main

import (
	"flag"
	"fmt"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/histdist/histdist/configs"
	"github.com/histdist/histdist/experiments"
	"github.com/histdist/histdist/internal/option"
)

// docs/configuration.md has every key as the code has it; -rewrite writes it anew.
func TestConfigurationReference(t *testing.T) {
	const file = "../../docs/configuration.md"
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Made from the code by: go test ./cmd/histdist -run TestConfigurationReference -rewrite -->

` + "A value comes from the first of these that has one: `--set`, a flag, an environment variable, a YAML file, the " +
		"default.\n`histdist train --set KEY=VALUE` sets any key of an experiment.\n" +
		"`histdist config print` prints the values and where they come from, and with `--explain` what they mean.\n")
	translate, serve, evaluate, experiment := defaultTranslate(), defaultServe(), defaultEvaluate(), experiments.Default()
	b.WriteString("\n## Commands\n\nThe file is given by `--config`.\n")
	own := func(key string) string { return "--" + path.Ext(key)[1:] }
	reference(&b, configs.Defaults(&translate), own)
	reference(&b, configs.Defaults(&serve), own)
	reference(&b, configs.Defaults(&evaluate)[len(configs.Defaults(&translate)):], own)
	b.WriteString("\n## Experiments\n\n" +
		"The file is the argument of `histdist train`. With `extends: OTHER` it adds to another.\n")
	short := map[string]string{"run.device": "--device", "train.log-every": "--log-every"}
	reference(&b, configs.Defaults(&experiment), func(key string) string { return short[key] })
	if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), b.String()); diff != "" {
		t.Errorf("%s is out of date, see its first lines:\n%s", file, diff)
	}
}

// reference writes a table of keys for each section.
func reference(b *strings.Builder, values []configs.Value, flagOf func(key string) string) {
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + strings.ReplaceAll(text, "|", "\\|") + "`"
	}
	section := ""
	for _, v := range values {
		if s, _, _ := strings.Cut(v.Key, "."); s != section {
			section = s
			fmt.Fprintf(b,
				"\n### %s\n\n| key | type | default | range | meaning | flag | environment |\n|---|---|---|---|---|---|---|\n", s)
		}
		limits := func(f option.Field) string {
			if f.Kind() == "text" { // its meaning lists the values
				return ""
			}
			return f.Want
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |\n",
			code(v.Key), v.Kind(), code(fmt.Sprint(v.Value)), limits(v.Field),
			strings.ReplaceAll(v.Usage, "*", `\*`), code(flagOf(v.Key)), code(configs.Variable(v.Key)))
		for _, e := range v.Elements() { // the keys of each element of a list
			text := fmt.Sprint(e.Var.Interface())
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s | | |\n", code(v.Key+"[]."+e.Key), e.Kind(), code(text), limits(e),
				strings.ReplaceAll(e.Usage, "*", `\*`))
		}
	}
}
