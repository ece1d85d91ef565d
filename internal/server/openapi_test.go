package server

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/histdist/histdist/internal/server/models"
)

type apiDocument struct {
	Paths      map[string]map[string]yaml.Node `yaml:"paths"`
	Components struct {
		Schemas map[string]struct {
			Required   []string             `yaml:"required"`
			Properties map[string]yaml.Node `yaml:"properties"`
		} `yaml:"schemas"`
	} `yaml:"components"`
}

func readAPI(t *testing.T) apiDocument {
	t.Helper()
	var d apiDocument
	if err := yaml.Unmarshal(openapi, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Every route is in the document, and nothing else.
func TestDocumentHasAllRoutes(t *testing.T) {
	var documented, routes []string
	for path, operations := range readAPI(t).Paths {
		for method := range operations {
			if method != "parameters" {
				documented = append(documented, strings.ToUpper(method)+" "+path)
			}
		}
	}
	s := &Server{}
	for _, r := range s.routes() {
		if r.hidden {
			continue
		}
		method, path, _ := strings.Cut(r.pattern, " ")
		if r.path != "" {
			path = r.path
		}
		routes = append(routes, method+" "+path)
	}
	slices.Sort(documented)
	slices.Sort(routes)
	if diff := cmp.Diff(documented, routes); diff != "" {
		t.Errorf("the document (-) and the routes (+) differ:\n%s", diff)
	}
}

// answers are the types of answers by the names of their schemas.
var answers = map[string]any{
	"Problem": Problem{}, "Health": health{}, "Counts": counts{}, "Version": versions{}, "Model": models.Model{},
	"Preset": models.Preset{}, "Slide": slideAnswer{}, "Level": levelAnswer{}, "IIIFInfo": iiifInfo{},
	"IIIFSize": iiifSize{}, "IIIFTile": iiifTile{}, "Box": box{}, "JobRequest": jobRequest{}, "Job": jobAnswer{},
	"Progress": progressAnswer{}, "Plan": jobPlan{}, "Results": resultsAnswer{}, "Provenance": provenanceAnswer{},
	"Measurements": measured{},
}

// Answers have the fields of their schemas; those that may be left out are not required.
func TestDocumentHasAllFields(t *testing.T) {
	schemas := readAPI(t).Components.Schemas
	for name, answer := range answers {
		var have, always []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(answer)) {
			key, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			if key == "" || key == "-" {
				continue
			}
			have = append(have, key)
			if option != "omitempty" && option != "omitzero" {
				always = append(always, key)
			}
		}
		var properties []string
		for key := range schemas[name].Properties {
			properties = append(properties, key)
		}
		required := slices.Clone(schemas[name].Required)
		for _, list := range [][]string{have, always, properties, required} {
			slices.Sort(list)
		}
		if diff := cmp.Diff(properties, have); diff != "" {
			t.Errorf("%s: the document (-) and the answer (+) differ:\n%s", name, diff)
		}
		for _, key := range required {
			if !slices.Contains(always, key) {
				t.Errorf("%s: %s is required, but may be left out", name, key)
			}
		}
	}
}

var reference = regexp.MustCompile(`#/components/(\w+)/(\w+)`)

// What the document refers to is there.
func TestDocumentIsComplete(t *testing.T) {
	var all struct {
		Components map[string]map[string]yaml.Node `yaml:"components"`
	}
	if err := yaml.Unmarshal(openapi, &all); err != nil {
		t.Fatal(err)
	}
	found := reference.FindAllStringSubmatch(string(openapi), -1)
	if len(found) == 0 {
		t.Error("it refers to nothing")
	}
	for _, m := range found {
		if _, ok := all.Components[m[1]][m[2]]; !ok {
			t.Errorf("there is no %s", m[0])
		}
	}
}
