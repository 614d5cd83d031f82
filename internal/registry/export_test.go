package registry

// Validate says whether a product of this definition could be put.
func (d *Definition) Validate(issuerPath string) error {
	normal := d.normal()
	return normal.validate(issuerPath)
}
