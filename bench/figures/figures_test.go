package figures

import "testing"

func TestSummarize_givesMedianAndQuartiles(t *testing.T) {
	for name, c := range map[string]struct {
		values []float64
		want   Summary
	}{
		"one":  {[]float64{3}, Summary{3, 3, 3}},
		"odd":  {[]float64{5, 1, 3, 2, 4}, Summary{3, 2, 4}},
		"even": {[]float64{4, 1, 3, 2}, Summary{2.5, 1.75, 3.25}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Summarize(c.values); got != c.want {
				t.Errorf("Summarize = %v, want %v", got, c.want)
			}
		})
	}
}

func TestRatio_isTakenWithinATurn(t *testing.T) {
	same := func(v float64) float64 { return v }
	if got, want := Ratio([]float64{2, 8, 30}, []float64{1, 2, 10}, same), (Summary{3, 2.5, 3.5}); got != want {
		t.Errorf("Ratio = %v, want %v", got, want)
	}
}
