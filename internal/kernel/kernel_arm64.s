#include "textflag.h"

// Written by hand: avo knows amd64 alone. Each function has a twin in generic.go
// that defines its result to the bit.

// One row of a tile: acc += x * b, for the four quarters of a vector.
#define ROW(x, v0, v1, v2, v3) \
	VFMLA x.S4, V24.S4, v0.S4; \
	VFMLA x.S4, V25.S4, v1.S4; \
	VFMLA x.S4, V26.S4, v2.S4; \
	VFMLA x.S4, V27.S4, v3.S4

// All lanes of a row start from its bias at R7.
#define START(v0, v1, v2, v3) \
	VLD1R.P 4(R7), [v0.S4]; \
	VMOV    v0.B16, v1.B16; \
	VMOV    v0.B16, v2.B16; \
	VMOV    v0.B16, v3.B16

// func tileNEON(c, a, b, bias *float32, taps *int32, ntaps, ci, cj, bj, rows, n int)
//
// tileNEON is tile with NEON: one position at a time.
TEXT ·tileNEON(SB), NOSPLIT, $0-88
	MOVD c+0(FP), R0
	MOVD a+8(FP), R1
	MOVD b+16(FP), R2
	MOVD ci+48(FP), R6
	LSL  $2, R6
	MOVD cj+56(FP), R4
	LSL  $2, R4
	MOVD bj+64(FP), R5
	LSL  $2, R5
	MOVD n+80(FP), R3

position:
	CBZ  R3, done
	MOVD bias+24(FP), R7
	START(V0, V1, V2, V3)
	START(V4, V5, V6, V7)
	START(V8, V9, V10, V11)
	START(V12, V13, V14, V15)
	START(V16, V17, V18, V19)
	START(V20, V21, V22, V23)
	MOVD taps+32(FP), R8
	MOVD ntaps+40(FP), R9

tap:
	CBZ     R9, store
	MOVW    (R8), R10
	MOVW    4(R8), R11
	ADD     $8, R8
	ADD     R10<<2, R1, R12
	ADD     R11<<2, R2, R13
	VLD1    (R13), [V24.S4, V25.S4, V26.S4, V27.S4]
	VLD1R.P 4(R12), [V28.S4]
	VLD1R.P 4(R12), [V29.S4]
	VLD1R.P 4(R12), [V30.S4]
	VLD1R.P 4(R12), [V31.S4]
	ROW(V28, V0, V1, V2, V3)
	VLD1R.P 4(R12), [V28.S4]
	ROW(V29, V4, V5, V6, V7)
	VLD1R   (R12), [V29.S4]
	ROW(V30, V8, V9, V10, V11)
	ROW(V31, V12, V13, V14, V15)
	ROW(V28, V16, V17, V18, V19)
	ROW(V29, V20, V21, V22, V23)
	SUB     $1, R9
	B       tap

store:
	MOVD rows+72(FP), R14
	MOVD R0, R15
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R15)
	CMP  $1, R14
	BEQ  next
	ADD  R6, R15
	VST1 [V4.S4, V5.S4, V6.S4, V7.S4], (R15)
	CMP  $2, R14
	BEQ  next
	ADD  R6, R15
	VST1 [V8.S4, V9.S4, V10.S4, V11.S4], (R15)
	CMP  $3, R14
	BEQ  next
	ADD  R6, R15
	VST1 [V12.S4, V13.S4, V14.S4, V15.S4], (R15)
	CMP  $4, R14
	BEQ  next
	ADD  R6, R15
	VST1 [V16.S4, V17.S4, V18.S4, V19.S4], (R15)
	CMP  $5, R14
	BEQ  next
	ADD  R6, R15
	VST1 [V20.S4, V21.S4, V22.S4, V23.S4], (R15)

next:
	ADD R5, R2
	ADD R4, R0
	SUB $1, R3
	B   position

done:
	RET

// One row of a column: acc += a * b, the row at R12, which moves to the next.
#define PRODUCT(v0, v1, v2, v3) \
	VLD1  (R12), [V28.S4, V29.S4, V30.S4, V31.S4]; \
	VFMLA V28.S4, V24.S4, v0.S4; \
	VFMLA V29.S4, V25.S4, v1.S4; \
	VFMLA V30.S4, V26.S4, v2.S4; \
	VFMLA V31.S4, V27.S4, v3.S4; \
	ADD   R5, R12

// func dotNEON(acc, a, b *float32, boff *[4]int32, taps *int32, ntaps, ai int, add bool)
//
// dotNEON is dot with NEON: one vector of B at a time.
TEXT ·dotNEON(SB), NOSPLIT, $0-57
	MOVD acc+0(FP), R0
	MOVD a+8(FP), R1
	MOVD boff+24(FP), R3
	MOVD ai+48(FP), R5
	LSL  $2, R5
	MOVD $4, R4

column:
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
	VEOR V8.B16, V8.B16, V8.B16
	VEOR V9.B16, V9.B16, V9.B16
	VEOR V10.B16, V10.B16, V10.B16
	VEOR V11.B16, V11.B16, V11.B16
	VEOR V12.B16, V12.B16, V12.B16
	VEOR V13.B16, V13.B16, V13.B16
	VEOR V14.B16, V14.B16, V14.B16
	VEOR V15.B16, V15.B16, V15.B16
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	VEOR V20.B16, V20.B16, V20.B16
	VEOR V21.B16, V21.B16, V21.B16
	VEOR V22.B16, V22.B16, V22.B16
	VEOR V23.B16, V23.B16, V23.B16
	MOVBU add+56(FP), R6
	CBZ   R6, zero
	MOVD  R0, R6
	VLD1.P 64(R6), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R6), [V4.S4, V5.S4, V6.S4, V7.S4]
	VLD1.P 64(R6), [V8.S4, V9.S4, V10.S4, V11.S4]
	VLD1.P 64(R6), [V12.S4, V13.S4, V14.S4, V15.S4]
	VLD1.P 64(R6), [V16.S4, V17.S4, V18.S4, V19.S4]
	VLD1.P 64(R6), [V20.S4, V21.S4, V22.S4, V23.S4]

zero:
	MOVD b+16(FP), R2
	MOVW (R3), R7
	ADD  $4, R3
	ADD  R7<<2, R2, R2
	MOVD taps+32(FP), R8
	MOVD ntaps+40(FP), R9

tap:
	CBZ  R9, store
	MOVW (R8), R10
	MOVW 4(R8), R11
	ADD  $8, R8
	ADD  R10<<2, R1, R12
	ADD  R11<<2, R2, R13
	VLD1 (R13), [V24.S4, V25.S4, V26.S4, V27.S4]
	PRODUCT(V0, V1, V2, V3)
	PRODUCT(V4, V5, V6, V7)
	PRODUCT(V8, V9, V10, V11)
	PRODUCT(V12, V13, V14, V15)
	PRODUCT(V16, V17, V18, V19)
	PRODUCT(V20, V21, V22, V23)
	SUB  $1, R9
	B    tap

store:
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(R0)
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(R0)
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(R0)
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	SUB  $1, R4
	CBNZ R4, column
	RET

// One lane of four rows: acc += x * b, the lane at R12 in the first row and R5
// further in each of the next.
#define SHARE(x, v0, v1, v2, v3) \
	VLD1R (R12), [x.S4]; \
	ADD   R5, R12; \
	ROW(x, v0, v1, v2, v3)

// Four quarters of a vector go to R6, with what is there added if R7 is not 0. The
// next row is three vectors on.
#define PUT(v0, v1, v2, v3) \
	VST1 [v0.S4, v1.S4, v2.S4, v3.S4], (R6); \
	ADD  $192, R6

// Adding is a product with one, since the assembler knows no VFADD of vectors.
#define ADDED(v0, v1, v2, v3) \
	VLD1  (R6), [V24.S4, V25.S4, V26.S4, V27.S4]; \
	VFMLA V31.S4, V24.S4, v0.S4; \
	VFMLA V31.S4, V25.S4, v1.S4; \
	VFMLA V31.S4, V26.S4, v2.S4; \
	VFMLA V31.S4, V27.S4, v3.S4; \
	ADD   $192, R6

// func outerNEON(acc, a, b *float32, b1, b2, rows, n, ai, aPos, aRow, bPos, bRow int, add bool)
//
// outerNEON is outer with NEON: four rows and one column at a time.
TEXT ·outerNEON(SB), NOSPLIT, $0-97
	MOVD acc+0(FP), R0
	MOVD a+8(FP), R1
	MOVD ai+56(FP), R5
	MOVD $2, R4

half:
	MOVD $0, R3 // column

column:
	MOVD b+16(FP), R2
	MOVD $0, R6
	CMP  $1, R3
	BLT  first
	MOVD b1+24(FP), R6
	BEQ  first
	MOVD b2+32(FP), R6

first:
	ADD  R6, R2
	MOVD R1, R8
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
	VEOR V8.B16, V8.B16, V8.B16
	VEOR V9.B16, V9.B16, V9.B16
	VEOR V10.B16, V10.B16, V10.B16
	VEOR V11.B16, V11.B16, V11.B16
	VEOR V12.B16, V12.B16, V12.B16
	VEOR V13.B16, V13.B16, V13.B16
	VEOR V14.B16, V14.B16, V14.B16
	VEOR V15.B16, V15.B16, V15.B16
	MOVD rows+40(FP), R9

row:
	MOVD n+48(FP), R10

position:
	MOVD $16, R11

lane:
	VLD1.P 64(R2), [V24.S4, V25.S4, V26.S4, V27.S4]
	MOVD   R8, R12
	SHARE(V28, V0, V1, V2, V3)
	SHARE(V29, V4, V5, V6, V7)
	SHARE(V30, V8, V9, V10, V11)
	SHARE(V31, V12, V13, V14, V15)
	ADD    $4, R8
	SUB    $1, R11
	CBNZ   R11, lane
	MOVD   aPos+64(FP), R12
	ADD    R12, R8
	MOVD   bPos+80(FP), R12
	ADD    R12, R2
	SUB    $1, R10
	CBNZ   R10, position
	MOVD   aRow+72(FP), R12
	ADD    R12, R8
	MOVD   bRow+88(FP), R12
	ADD    R12, R2
	SUB    $1, R9
	CBNZ   R9, row
	MOVBU  add+96(FP), R7
	CBZ    R7, put
	MOVD   R0, R6
	FMOVS  $1.0, F31
	VDUP   V31.S[0], V31.S4
	ADDED(V0, V1, V2, V3)
	ADDED(V4, V5, V6, V7)
	ADDED(V8, V9, V10, V11)
	ADDED(V12, V13, V14, V15)

put:
	MOVD R0, R6
	PUT(V0, V1, V2, V3)
	PUT(V4, V5, V6, V7)
	PUT(V8, V9, V10, V11)
	PUT(V12, V13, V14, V15)
	ADD  $64, R0
	ADD  $1, R3
	CMP  $3, R3
	BLT  column
	ADD  $576, R0 // the four rows just done are 768 long, the columns 192
	ADD  R5<<2, R1, R1
	SUB  $1, R4
	CBNZ R4, half
	RET

// Like PUT and ADDED, with the next row four vectors on.
#define PUTBLOCK(v0, v1, v2, v3) \
	VST1 [v0.S4, v1.S4, v2.S4, v3.S4], (R6); \
	ADD  $256, R6

#define ADDEDBLOCK(v0, v1, v2, v3) \
	VLD1  (R6), [V24.S4, V25.S4, V26.S4, V27.S4]; \
	VFMLA V31.S4, V24.S4, v0.S4; \
	VFMLA V31.S4, V25.S4, v1.S4; \
	VFMLA V31.S4, V26.S4, v2.S4; \
	VFMLA V31.S4, V27.S4, v3.S4; \
	ADD   $256, R6

// func outerBlocksNEON(acc, a, b *float32, ai, n int, add bool)
//
// outerBlocksNEON is outerBlocks with NEON: one column at a time.
TEXT ·outerBlocksNEON(SB), NOSPLIT, $0-41
	MOVD acc+0(FP), R0
	MOVD b+16(FP), R1
	MOVD ai+24(FP), R5
	MOVD $4, R3

column:
	MOVD R1, R2
	MOVD a+8(FP), R8
	VEOR V0.B16, V0.B16, V0.B16
	VEOR V1.B16, V1.B16, V1.B16
	VEOR V2.B16, V2.B16, V2.B16
	VEOR V3.B16, V3.B16, V3.B16
	VEOR V4.B16, V4.B16, V4.B16
	VEOR V5.B16, V5.B16, V5.B16
	VEOR V6.B16, V6.B16, V6.B16
	VEOR V7.B16, V7.B16, V7.B16
	VEOR V8.B16, V8.B16, V8.B16
	VEOR V9.B16, V9.B16, V9.B16
	VEOR V10.B16, V10.B16, V10.B16
	VEOR V11.B16, V11.B16, V11.B16
	VEOR V12.B16, V12.B16, V12.B16
	VEOR V13.B16, V13.B16, V13.B16
	VEOR V14.B16, V14.B16, V14.B16
	VEOR V15.B16, V15.B16, V15.B16
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	VEOR V20.B16, V20.B16, V20.B16
	VEOR V21.B16, V21.B16, V21.B16
	VEOR V22.B16, V22.B16, V22.B16
	VEOR V23.B16, V23.B16, V23.B16
	MOVD n+32(FP), R10

position:
	MOVD $16, R11

lane:
	VLD1.P 64(R2), [V24.S4, V25.S4, V26.S4, V27.S4]
	MOVD   R8, R12
	SHARE(V28, V0, V1, V2, V3)
	SHARE(V29, V4, V5, V6, V7)
	SHARE(V30, V8, V9, V10, V11)
	SHARE(V31, V12, V13, V14, V15)
	SHARE(V28, V16, V17, V18, V19)
	SHARE(V29, V20, V21, V22, V23)
	ADD    $4, R8
	SUB    $1, R11
	CBNZ   R11, lane
	ADD    $3072, R2 // the other columns
	SUB    $1, R10
	CBNZ   R10, position
	MOVBU  add+40(FP), R7
	CBZ    R7, put
	MOVD   R0, R6
	FMOVS  $1.0, F31
	VDUP   V31.S[0], V31.S4
	ADDEDBLOCK(V0, V1, V2, V3)
	ADDEDBLOCK(V4, V5, V6, V7)
	ADDEDBLOCK(V8, V9, V10, V11)
	ADDEDBLOCK(V12, V13, V14, V15)
	ADDEDBLOCK(V16, V17, V18, V19)
	ADDEDBLOCK(V20, V21, V22, V23)

put:
	MOVD R0, R6
	PUTBLOCK(V0, V1, V2, V3)
	PUTBLOCK(V4, V5, V6, V7)
	PUTBLOCK(V8, V9, V10, V11)
	PUTBLOCK(V12, V13, V14, V15)
	PUTBLOCK(V16, V17, V18, V19)
	PUTBLOCK(V20, V21, V22, V23)
	ADD  $64, R0
	ADD  $1024, R1
	SUB  $1, R3
	CBNZ R3, column
	RET
