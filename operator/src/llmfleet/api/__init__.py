"""What people write and read: the models of v1alpha1, accelerator profiles, and the CustomResourceDefinition generated from them."""
