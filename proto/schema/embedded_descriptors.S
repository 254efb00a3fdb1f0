// The FileDescriptorSet of the whole API with source information (comments).
    .section .rodata
    .global kTrainyardDescriptorSetBegin
    .global kTrainyardDescriptorSetEnd
kTrainyardDescriptorSetBegin:
    .incbin DESCRIPTOR_SET
kTrainyardDescriptorSetEnd:
    .byte 0
    .section .note.GNU-stack,"",@progbits
