package pickle

// torch >= 2.1 writes a record .data/serialization_id of two numbers of 20
// digits. The second is a hash of the CRCs of the members. The first is one of
// their names, in the order in which a std::unordered_set of them is iterated
// over, so it depends on the standard library of C++ that torch was built with.
// Here it is that of libstdc++: of torch on Linux.

// combine is c10::hash_combine of PyTorch, after Boost's.
func combine(seed, v uint64) uint64 {
	return seed ^ (v + 0x9e3779b9 + seed<<6 + seed>>2)
}

// hashNames returns the hash of names that were put into a set in this order.
func hashNames(names []string) uint64 {
	h := uint64(0)
	for _, i := range setOrder(names) {
		h = combine(h, murmur(names[i]))
	}
	return h
}

// bucketCounts are the sizes that libstdc++ gives a growing hash table
// (_Prime_rehash_policy: the least prime of its list that is not below twice
// the last size).
var bucketCounts = []int{1, 13, 29, 59, 127, 257, 541, 1109, 2357, 5087, 10273, 20753, 42043, 85229, 172933, 351061, 712697}

// setOrder returns the order in which libstdc++ iterates over a set into which
// the names were put one by one. Its nodes form one list; a bucket points to
// the node before its first one. A node goes before the others of its bucket,
// and that of an empty bucket goes to the front of the list.
func setOrder(names []string) []int {
	const none, front = -1, -2 // of the links: no node, the head of the list
	hashes := make([]uint64, len(names))
	next := make([]int, len(names))
	head := none
	var before []int // of each bucket
	insert := func(i int, n uint64) {
		b := hashes[i] % n
		after := func(node int) *int {
			if node == front {
				return &head
			}
			return &next[node]
		}
		if before[b] != none {
			link := after(before[b])
			next[i], *link = *link, i
			return
		}
		next[i], head = head, i
		if next[i] != none {
			before[hashes[next[i]]%n] = i
		}
		before[b] = front
	}
	grow := func(n int) {
		before = make([]int, n)
		for b := range before {
			before[b] = none
		}
		i := head
		head = none
		for i != none {
			rest := next[i]
			insert(i, uint64(n))
			i = rest
		}
	}
	size := 0
	for i, name := range names {
		hashes[i] = murmur(name)
		if size == 0 || i+1 > bucketCounts[size] {
			size++
			grow(bucketCounts[size])
		}
		insert(i, uint64(bucketCounts[size]))
	}
	var order []int
	for i := head; i != none; i = next[i] {
		order = append(order, i)
	}
	return order
}

// murmur is std::hash<std::string> of libstdc++ on 64 bits: MurmurHash64A with
// its own seed and the mix of its own constants.
func murmur(s string) uint64 {
	const mul, seed = 0xc6a4a7935bd1e995, 0xc70f6907
	mix := func(v uint64) uint64 { return v ^ v>>47 }
	h := uint64(seed) ^ uint64(len(s))*mul
	for ; len(s) >= 8; s = s[8:] {
		h = (h ^ mix(le.Uint64([]byte(s[:8]))*mul)*mul) * mul
	}
	if len(s) > 0 {
		var tail [8]byte
		copy(tail[:], s)
		h = (h ^ le.Uint64(tail[:])) * mul
	}
	return mix(mix(h) * mul)
}
