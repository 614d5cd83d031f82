package dashboard

import "time"

const year = 365 * 24 * time.Hour

func (x *exchange) theme() string {
	switch theme := x.cookie("theme"); theme {
	case "light", "dark":
		return theme
	}
	return ""
}

// setTheme keeps the choice in the browser, and the server writes it into the
// next page: no script, no flash.
func (d *dashboard) setTheme(x *exchange) error {
	if err := x.keepTheme(x.value("theme")); err != nil {
		return err
	}
	return x.redirect(local(x.value("back")))
}

func (x *exchange) keepTheme(theme string) error {
	switch theme {
	case "light", "dark":
		x.setCookie("theme", theme, year)
	case "system":
		x.setCookie("theme", "", 0)
	default:
		return errBadForm
	}
	return nil
}
