package report

// Recipe is how a network was trained, for a report.
type Recipe struct {
	Optimizer  string   `json:"optimizer"`
	Rate       float64  `json:"rate"` // at first; it falls to 0
	Batch      int      `json:"batch"`
	Together   int      `json:"normalized_together"`  // images whose statistics BatchNormalization takes
	Variations []string `json:"variations,omitempty"` // by which an image differs each time that it is learned from
	Steps      int      `json:"steps"`
	Images     int      `json:"images"`
	Seed       uint64   `json:"seed"`
}
