/* A multiboot guest that writes to one page after another of SIZE_MIB, round and round, RATE_MIB of pages a second, and prints
 * "COUNT n" on COM1 after its nth round. Assembled with both as symbols. Ports of QEMU's q35 as its firmware leaves them:
 * ACPI's timer at 0x608 (24 bits, 3.579545 MHz), the serial line at 0x3f8. */
    .code32
    .set FIRST, 0x200000
    .set TICKS, 3579545 * 16 / (RATE_MIB * 256)
    .text
    .long 0x1badb002, 0, -0x1badb002
    .globl _start
_start:
    movl $0x90000, %esp
    xorl %esi, %esi
    movw $0x608, %dx
    inl %dx, %eax
    movl %eax, %edi
round:
    incl %esi
    movl $FIRST, %ebx
pages:                                  /* sixteen at a time, then until their time is over */
    movl $16, %ecx
1:  movl %ebx, (%ebx)
    movl %esi, 4(%ebx)
    addl $4096, %ebx
    loop 1b
    movw $0x608, %dx
2:  inl %dx, %eax
    subl %edi, %eax
    andl $0xffffff, %eax
    cmpl $TICKS, %eax
    jb 2b
    cmpl $(TICKS * 64), %eax            /* long behind: what was missed is not caught up with */
    jb 3f
    inl %dx, %eax
    movl %eax, %edi
    jmp 4f
3:  addl $TICKS, %edi
4:  cmpl $(FIRST + SIZE_MIB * 0x100000), %ebx
    jb pages
    movl $message, %ebx
5:  movb (%ebx), %al
    testb %al, %al
    jz 6f
    call put
    incl %ebx
    jmp 5b
6:  movl %esi, %eax
    xorl %ecx, %ecx
    movl $10, %ebp
7:  xorl %edx, %edx
    divl %ebp
    addl $'0', %edx
    pushl %edx
    incl %ecx
    testl %eax, %eax
    jnz 7b
8:  popl %eax
    call put
    loop 8b
    movb $'\n', %al
    call put
    jmp round
put:
    pushl %eax
    movw $0x3fd, %dx
9:  inb %dx, %al
    testb $0x20, %al
    jz 9b
    popl %eax
    movw $0x3f8, %dx
    outb %al, %dx
    ret
message:
    .asciz "COUNT "
