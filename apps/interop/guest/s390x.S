/* A guest for s390x: draws from a virtio-rng behind channel I/O and prints "COUNT n" on the SCLP's ASCII console after
   each answer. It polls, so no interrupt is ever open. One section, no relocation: it needs no linker.
   Channel I/O: z/Architecture Principles of Operation, chapters 13 to 16. virtio-ccw: virtio 1.2, section 4.3. */

        .set    BASE,   0x10000         /* where the image is loaded */
        .set    SCCB,   0x20000
        .set    SCHIB,  0x21000
        .set    ORB,    0x21100
        .set    CCW,    0x21200
        .set    IRB,    0x21300
        .set    DATA,   0x21400
        .set    DESC,   0x22000
        .set    AVAIL,  0x22400
        .set    USED,   0x23000
        .set    BUFFER, 0x24000
        .set    SIZE,   8               /* entries of the ring */
        .set    SPIN,   8000000

        .macro  put at, base, value
        llilf   %r0, \value
        st      %r0, \at(\base)
        .endm

        .text
_start: lgfi    %r15, DATA
        brasl   %r14, console
        brasl   %r14, find
        brasl   %r14, driver
        lghi    %r10, 0                 /* n */
loop:   aghi    %r10, 1
        brasl   %r14, draw
        brasl   %r14, print
        lgfi    %r2, SPIN
0:      brctg   %r2, 0b
        j       loop

/* SCLP: write event mask, so that we may send ASCII (event 0x1a). */
console:lgfi    %r4, SCCB
        xc      0(64, %r4), 0(%r4)
        mvhhi   0(%r4), 28              /* length of the SCCB */
        mvhhi   10(%r4), 4              /* bytes of each mask */
        mvhi    16(%r4), 0x40           /* what we send */
        llilf   %r2, 0x00780005
        j       service

/* SCLP: write event data: "COUNT " and r10. */
print:  lgfi    %r4, SCCB
        xc      0(64, %r4), 0(%r4)
        mvhhi   0(%r4), 8 + 6 + 15
        mvhhi   8(%r4), 6 + 15          /* the event buffer */
        mvi     10(%r4), 0x1a
        larl    %r3, text
        mvc     14(6, %r4), 0(%r3)
        lgfi    %r5, DATA
        cvd     %r10, 0(%r5)
        unpk    20(8, %r4), 3(5, %r5)
        oi      27(%r4), 0xf0
        nc      20(8, %r4), digits-text(%r3)
        mvi     28(%r4), 10
        llilf   %r2, 0x00760005
service:.insn   rre, 0xb2200000, %r2, %r4
        brc     2, service              /* busy */
        br      %r14

/* The first subchannel whose device number is 3: enabled; r11 is its id. */
find:   llilf   %r11, 0x00010000
        lgfi    %r4, SCHIB
0:      lgr     %r1, %r11
        stsch   0(%r4)
        jnz     1f
        clhhsi  6(%r4), 3
        je      2f
1:      aghi    %r11, 1
        j       0b
2:      oi      5(%r4), 0x80
        msch    0(%r4)
        br      %r14

/* One channel command: r2 the command, r3 bytes at DATA. Waits for its end. */
io:     lgfi    %r4, CCW
        stc     %r2, 0(%r4)
        mvi     1(%r4), 0x20            /* a wrong length is no error */
        sth     %r3, 2(%r4)
        put     4, %r4, DATA
        lgfi    %r5, ORB
        mvhi    0(%r5), 0
        put     4, %r5, 0x0080ff00      /* CCWs of format 1, any path */
        put     8, %r5, CCW
        lgr     %r1, %r11
        ssch    0(%r5)
        lgfi    %r5, IRB
0:      tsch    0(%r5)
        jnz     0b
        br      %r14

status: lgr     %r9, %r14               /* r2 */
        lgfi    %r5, DATA
        stc     %r2, 0(%r5)
        lghi    %r2, 0x31
        lghi    %r3, 1
        brasl   %r14, io
        br      %r9

/* Revision 1, VERSION_1 and nothing else, one ring. */
driver: lgr     %r8, %r14
        lgfi    %r5, DATA
        put     0, %r5, 0x00010000
        lghi    %r2, 0x83               /* SET_VIRTIO_REV */
        lghi    %r3, 4
        brasl   %r14, io
        lghi    %r2, 0x33               /* VDEV_RESET */
        lghi    %r3, 0
        brasl   %r14, io
        lghi    %r2, 1
        brasl   %r14, status
        lghi    %r2, 3
        brasl   %r14, status
        lgfi    %r5, DATA
        mvhi    0(%r5), 0
        mvi     4(%r5), 0
        lghi    %r2, 0x11               /* WRITE_FEAT */
        lghi    %r3, 5
        brasl   %r14, io
        lgfi    %r5, DATA
        put     0, %r5, 0x01000000      /* bit 32, little-endian */
        mvi     4(%r5), 1
        lghi    %r2, 0x11
        lghi    %r3, 5
        brasl   %r14, io
        lghi    %r2, 11
        brasl   %r14, status
        lgfi    %r5, DATA
        xc      0(32, %r5), 0(%r5)
        put     4, %r5, DESC
        mvhhi   14(%r5), SIZE
        put     20, %r5, AVAIL
        put     28, %r5, USED
        lghi    %r2, 0x13               /* SET_VQ */
        lghi    %r3, 32
        brasl   %r14, io
        lghi    %r2, 15
        brasl   %r14, status
        br      %r8

/* Request r10: descriptor r10 mod SIZE, 8 bytes at BUFFER; kicks, and waits until it is used. */
draw:   lgfi    %r6, SIZE - 1
        lgr     %r7, %r10
        aghi    %r7, -1
        ngr     %r7, %r6                /* the slot */
        sllg    %r4, %r7, 4
        lgfi    %r5, DESC
        agr     %r5, %r4
        lgfi    %r2, BUFFER
        strvg   %r2, 0(%r5)
        lghi    %r2, 8
        strv    %r2, 8(%r5)
        lghi    %r2, 2                  /* the device writes */
        strvh   %r2, 12(%r5)
        lghi    %r2, 0
        strvh   %r2, 14(%r5)
        lgfi    %r5, AVAIL
        sllg    %r4, %r7, 1
        agr     %r4, %r5
        strvh   %r7, 4(%r4)
        strvh   %r10, 2(%r5)
        lghi    %r1, 3                  /* virtio-ccw notify */
        lgr     %r2, %r11
        lghi    %r3, 0
        lghi    %r4, 0
        diag    %r2, %r4, 0x500
        lgfi    %r5, USED
0:      lrvh    %r2, 2(%r5)
        llghr   %r2, %r2
        llghr   %r3, %r10
        cgrjne  %r2, %r3, 0b
        br      %r14

text:   .byte   0x43, 0x4f, 0x55, 0x4e, 0x54, 0x20
digits: .byte   0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f
