package report

// Recipe is how a network was trained, for a report.
type Recipe struct {
	Optimizer string  `json:"optimizer"`
	Rate      float64 `json:"rate"` // at first; it falls to 0
	Batch     int     `json:"batch"`
	Together  int     `json:"normalized_together"` // images whose statistics BatchNormalization takes
	Steps     int     `json:"steps"`
	Images    int     `json:"images"`
	Seed      uint64  `json:"seed"`
}
