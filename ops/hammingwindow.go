package ops

// hammingwindowOp is the window of Hamming.
var hammingwindowOp = cosineWindow("HammingWindow", 25.0/46, 21.0/46, 0)
