package server

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openapi []byte

// readDocument returns the document of the interface as JSON.
func readDocument() ([]byte, error) {
	var document any
	if err := yaml.Unmarshal(openapi, &document); err != nil {
		return nil, err
	}
	return json.Marshal(document)
}

// document sends it.
func (s *Server) document(w http.ResponseWriter, _ *http.Request) error {
	text, err := readDocument()
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, json.RawMessage(text))
}
