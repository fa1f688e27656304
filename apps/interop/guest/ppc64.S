/* A guest for pSeries, instead of its firmware: prints "COUNT n" on the terminal at 0x30000000. Once the word at FLAG is
   not 0, it asks for events, and prints "EVENT i" with the index of the connector that each is about. One section, no
   relocation. Hypervisor calls and RTAS: Linux on Power Architecture Reference, 14.5.4.3 and 7.3; that RTAS is hypervisor
   call 0xf000, and 0x200e the token of check-exception, is what QEMU's device tree says. */

        .set    STRING, 0x7000
        .set    ARGS,   0x7100
        .set    EVENT,  0x7200
        .set    FLAG,   0x7f00
        .set    BYTES,  512             /* of the event's buffer */
        .set    INDEX,  108             /* where a hot-plug event names its connector */
        .set    SPIN,   30000000

        .text
        .org    0x100
_start: li      20, 0                   /* n */
loop:   addi    20, 20, 1
        bl      count
        lwz     3, FLAG(0)
        cmpwi   3, 0
        beq     1f
0:      bl      event
        cmpwi   3, 0
        beq     0b
1:      lis     3, SPIN@h
        mtctr   3
2:      bdnz    2b
        b       loop

/* "COUNT " and r20. */
count:  mflr    21
        lis     3, 0x434f
        ori     3, 3, 0x554e
        stw     3, STRING(0)
        lis     3, 0x5420
        stw     3, STRING+4(0)
        mr      4, 20
        li      5, 8
        li      6, 10
0:      divd    7, 4, 6
        mulld   8, 7, 6
        subf    8, 8, 4
        mr      4, 7
        addi    8, 8, 0x30
        addi    9, 5, STRING+5
        stb     8, 0(9)
        addic.  5, 5, -1
        bne     0b
        b       line

/* check-exception for any event: r3 is its status. "EVENT " and the index where there was one. */
event:  mflr    21
        li      3, 0x200e
        stw     3, ARGS(0)
        li      3, 6
        stw     3, ARGS+4(0)
        li      3, 1
        stw     3, ARGS+8(0)
        li      3, 0x500
        stw     3, ARGS+12(0)
        li      3, 0
        stw     3, ARGS+16(0)
        stw     3, ARGS+24(0)
        li      3, -1
        stw     3, ARGS+20(0)
        li      3, EVENT
        stw     3, ARGS+28(0)
        li      3, BYTES
        stw     3, ARGS+32(0)
        li      3, 0
        ori     3, 3, 0xf000
        li      4, ARGS
        sc      1
        lwz     3, ARGS+36(0)
        cmpwi   3, 0
        bne     leave
        lis     3, 0x4556
        ori     3, 3, 0x454e
        stw     3, STRING(0)
        lis     3, 0x5420
        stw     3, STRING+4(0)
        lwz     4, EVENT+INDEX(0)
        li      5, 8
0:      andi.   8, 4, 15
        srdi    4, 4, 4
        cmpwi   8, 10
        blt     1f
        addi    8, 8, 0x27
1:      addi    8, 8, 0x30
        addi    9, 5, STRING+5
        stb     8, 0(9)
        addic.  5, 5, -1
        bne     0b

line:   li      3, 10
        stb     3, STRING+14(0)
0:      li      3, 0x58                 /* H_PUT_TERM_CHAR */
        lis     4, 0x3000
        li      5, 15
        ld      6, STRING(0)
        ld      7, STRING+8(0)
        sc      1
        cmpdi   3, 0
        bne     0b                      /* the terminal is full */
        li      3, 0
leave:  mtlr    21
        blr
