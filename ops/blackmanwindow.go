package ops

// blackmanwindowOp is the window of Blackman.
var blackmanwindowOp = cosineWindow("BlackmanWindow", 0.42, 0.5, 0.08)
