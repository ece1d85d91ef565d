package modelbench_test

import (
	"testing"

	"github.com/histdist/histdist/graph/modelbench"
	"github.com/histdist/histdist/internal/networktest"
)

func TestRun(t *testing.T) {
	o := modelbench.Options{Device: networktest.Open(t, "auto"), Only: []string{"vit"}, Runs: 1}
	if o.Device.Name() == "ref" {
		t.Skip("takes minutes in plain Go")
	}
	var got []modelbench.Result
	if err := modelbench.Run(t.Context(), o, func(r modelbench.Result) { got = append(got, r) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Name != "vit" || !(got[0].Seconds > 0 && got[0].GFLOPS > 0 && got[0].Share > 0) || got[0].Arena == 0 {
		t.Errorf("got %+v", got)
	}
	o.Only = []string{"gan"}
	if err := modelbench.Run(t.Context(), o, nil); err == nil {
		t.Error("an unknown network is no error")
	}
}
