# The guest: a boot sector that counts on COM1, driven by interrupts. Each line is "seq hash ticks rtc", four hexadecimal
# numbers of 8 digits: the line's number, a chain over all lines before and a table in RAM, and the interrupts counted on
# IRQ 0 and on IRQ 8. One line is sent for every 4 timer ticks or later, never two for the same tick.

.code16
.section .text
.globl _start

.set COM1, 0x3f8
.set TABLE_SEGMENT, 0x1000      # 64 KiB that the chain reads and writes
.set PERIODIC_RATE, 0x26        # RTC register A: 32768 Hz base, rate 6: 1024 Hz
.set PIT_RELOAD, 1193           # 1.19318 MHz / 1193: one tick a millisecond

_start:
    cli
    cld
    ljmp $0, $1f
1:  xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw %ax, %es
    movw $STACK, %sp
    xorl %eax, %eax
    movw $seq, %di
    movw $8, %cx
    rep stosl                   # the counters are zero
    movl $0x12345678, hash
    movw $TABLE_SEGMENT, %cx
    movw %cx, %es
    xorw %di, %di
    movw $0x4000, %cx
    rep stosl                   # the table is zero

    # Both 8259s, with bases of our own: IRQ 0 is vector 0x50, IRQ 8 is vector 0x58.
    xorw %dx, %dx
    movw $icw, %si
2:  lodsb
    testb %al, %al
    jz 3f
    movb %al, %dl
    lodsb
    outb %al, %dx
    jmp 2b
3:  movw $on_timer, 0x50 * 4
    movw $on_serial, 0x54 * 4
    movw $on_rtc, 0x58 * 4
    xorw %ax, %ax
    movw %ax, 0x50 * 4 + 2
    movw %ax, 0x54 * 4 + 2
    movw %ax, 0x58 * 4 + 2

    # The 8254: channel 0, both bytes, mode 2.
    movb $0x34, %al
    outb %al, $0x43
    movb $PIT_RELOAD & 0xff, %al
    outb %al, $0x40
    movb $PIT_RELOAD >> 8, %al
    outb %al, $0x40

    # The clock chip: a periodic interrupt at 1024 Hz.
    movw $0x0b | 0x42 << 8, %ax
    call cmos_write
    movw $0x0a | PERIODIC_RATE << 8, %ax
    call cmos_write
    call cmos_acknowledge

    # The 16550: 115200 baud, 8 bits, FIFOs, interrupts when the transmitter is empty.
    movw $uart, %si
    movb $COM1 >> 8, %dh
4:  lodsb
    testb %al, %al
    jz 5f
    movb %al, %dl
    lodsb
    outb %al, %dx
    jmp 4b
5:  sti

line:
    # A line is due when 4 ticks have passed and the one before has left.
    movl ticks, %eax
    subl due, %eax
    cmpl $4, %eax
    jae 6f
wait:
    hlt
    jmp line
6:  cmpb $0, sending
    jne wait
    movl ticks, %eax
    movl %eax, due

    # table[seq & 0x3fff] ^= hash; hash = rol(hash, 7) + table[hash & 0x3fff] + seq
    movl seq, %ecx
    movl hash, %edx
    movzwl %cx, %ebx
    andw $0x3fff, %bx
    shlw $2, %bx
    xorl %edx, %es:(%bx)
    movw %dx, %bx
    andw $0x3fff, %bx
    shlw $2, %bx
    movl %es:(%bx), %eax
    roll $7, %edx
    addl %edx, %eax
    addl %ecx, %eax
    movl %eax, hash

    movw $text, %di
    movl %ecx, %eax
    call put_hex
    movl hash, %eax
    call put_hex
    movl ticks, %eax
    call put_hex
    movl rtc, %eax
    call put_hex
    movb $'\n', -1(%di)
    incl seq
    movw $text, next
    movb $1, sending
    # The transmitter is empty and says so once the interrupt is enabled anew.
    movw $COM1 + 1, %dx
    movb $0, %al
    outb %al, %dx
    movb $2, %al
    outb %al, %dx
    jmp line

# 8 hexadecimal digits of eax and a space, into the text at di. The table's segment is not touched: stores go through ds.
put_hex:
    movw $8, %cx
7:  roll $4, %eax
    movb %al, %bl
    andb $15, %bl
    addb $'0', %bl
    cmpb $'9', %bl
    jbe 8f
    addb $'a' - '0' - 10, %bl
8:  movb %bl, (%di)
    incw %di
    loop 7b
    movb $' ', (%di)
    incw %di
    ret

cmos_write:                     # register in al, value in ah
    outb %al, $0x70
    movb %ah, %al
    outb %al, $0x71
    ret

cmos_acknowledge:               # reading register C lowers IRQ 8
    movb $0x0c, %al
    outb %al, $0x70
    inb $0x71, %al
    ret

on_timer:
    pushw %ax
    incl ticks
    jmp end_of_interrupt

on_rtc:
    pushw %ax
    incl rtc
    call cmos_acknowledge
    movb $0x20, %al
    outb %al, $0xa0
    jmp end_of_interrupt

on_serial:
    pushw %ax
    pushw %dx
    pushw %si
    movw $COM1 + 2, %dx
    inb %dx, %al                # reading the identification acknowledges
    cmpb $0, sending
    je 9f
    movw next, %si
    lodsb
    movw %si, next
    movw $COM1, %dx
    outb %al, %dx
    cmpb $'\n', %al
    jne 9f
    movb $0, sending
9:  popw %si
    popw %dx
end_of_interrupt:
    movb $0x20, %al
    outb %al, $0x20
    popw %ax
    iretw

icw:                            # port, value
    .byte 0x20, 0x11, 0x21, 0x50, 0x21, 0x04, 0x21, 0x01
    .byte 0xa0, 0x11, 0xa1, 0x58, 0xa1, 0x02, 0xa1, 0x01
    .byte 0x21, 0xea, 0xa1, 0xfe, 0  # open: IRQ 0, 2 (the slave), 4 and 8
uart:                           # low byte of the port, value
    .byte 0xfb, 0x80, 0xf8, 0x01, 0xf9, 0x00, 0xfb, 0x03, 0xfa, 0x07, 0xfc, 0x0b, 0

    .org 510
    .word 0xaa55

# What the guest writes is on another page than what it runs, so that v86 can keep what it has compiled.
.set seq,     0x8000            # src/guest/counters.ts reads the first four here
.set hash,    0x8004
.set ticks,   0x8008
.set rtc,     0x800c
.set due,     0x8010
.set next,    0x8014
.set sending, 0x8016
.set text,    0x8040
.set STACK,   0x9000
