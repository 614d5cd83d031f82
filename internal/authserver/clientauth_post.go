package authserver

func clientSecretPost() clientMethod {
	return clientMethod{name: "client_secret_post", read: readPost}
}

// readPost takes client_id and client_secret from the body (RFC 6749 §2.3.1).
func readPost(x *exchange) (c credentials, present bool) {
	secret := x.form.get("client_secret")
	if secret == "" {
		return credentials{}, false
	}
	return credentials{x.form.get("client_id"), secret}, true
}
