package convert

// lenet is the LeNet of the class-forgetting task: 28x28 grey images in,
// ten logits out. Numbers of channels, hidden units and classes are free.
var lenet = architecture{
	name:    "LeNet",
	summary: "block1 and block2 of 5x5 convolution, batch normalization, ReLU and 2x2 max pooling, then fc, fc1 and fc2",
	usual:   28, // MNIST and Fashion-MNIST
	layers: []layer{
		conv("block1.0", 5),
		batchNorm("block1.1"),
		relu("block1.2"),
		maxPool("block1.3", 2),
		conv("block2.0", 5),
		batchNorm("block2.1"),
		relu("block2.2"),
		maxPool("block2.3", 2),
		flatten("flatten"),
		linear("fc"),
		relu("fc.relu"),
		linear("fc1"),
		relu("fc1.relu"),
		linear("fc2"),
	},
}
