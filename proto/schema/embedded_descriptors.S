// The FileDescriptorSet of the whole API with source information (comments).
    .section .rodata
    .global trainyard_descriptor_set_begin
    .global trainyard_descriptor_set_end
trainyard_descriptor_set_begin:
    .incbin DESCRIPTOR_SET
trainyard_descriptor_set_end:
    .byte 0
    .section .note.GNU-stack,"",@progbits
