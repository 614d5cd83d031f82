package main

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/miekg/pkcs11"
)

// place is where the key is.
type place struct{ module, token, key string }

const (
	format  = 1  // first byte of what is wrapped: AES-GCM as below
	ivSize  = 12 // bytes
	tagSize = 16
)

// associated binds what is wrapped to its purpose.
var associated = []byte("doorward key-encryption key")

// token is a session on one, signed in as its user.
type token struct {
	place
	cryptoki *pkcs11.Ctx
	session  pkcs11.SessionHandle
}

func open(p place, pin string) (t *token, err error) {
	t = &token{place: p, cryptoki: pkcs11.New(p.module)}
	if t.cryptoki == nil {
		return nil, fmt.Errorf("%s cannot be loaded: is it the PKCS #11 library?", p.module)
	}
	if err := t.cryptoki.Initialize(); err != nil {
		t.cryptoki.Destroy()
		return nil, fmt.Errorf("initialise %s: %w", p.module, err)
	}
	slot, err := t.slot()
	if err == nil {
		t.session, err = t.cryptoki.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	}
	if err == nil {
		err = t.cryptoki.Login(t.session, pkcs11.CKU_USER, pin)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the token %q: %w", p.token, err), t.close())
	}
	return t, nil
}

func (t *token) close() error {
	defer t.cryptoki.Destroy()
	return t.cryptoki.Finalize() // sessions end with it
}

func (t *token) slot() (uint, error) {
	slots, err := t.cryptoki.GetSlotList(true)
	if err != nil {
		return 0, err
	}
	var found []uint
	for _, slot := range slots {
		if info, err := t.cryptoki.GetTokenInfo(slot); err == nil && info.Label == t.token {
			found = append(found, slot)
		}
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d tokens have that label, want one", len(found))
	}
	return found[0], nil
}

// find returns the keys of the label.
func (t *token) find() (found []pkcs11.ObjectHandle, err error) {
	err = t.cryptoki.FindObjectsInit(t.session, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.key),
	})
	if err != nil {
		return nil, err
	}
	found, _, err = t.cryptoki.FindObjects(t.session, 2)
	return found, errors.Join(err, t.cryptoki.FindObjectsFinal(t.session))
}

func (t *token) one() (pkcs11.ObjectHandle, error) {
	found, err := t.find()
	if err != nil {
		return 0, fmt.Errorf("look for the key %q: %w", t.key, err)
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d or more AES keys on the token have the label %q, want one: kek-pkcs11 generate makes it", len(found), t.key)
	}
	return found[0], nil
}

// generate makes the key, which cannot be read from the token.
func (t *token) generate() error {
	found, err := t.find()
	if err != nil {
		return fmt.Errorf("look for the key %q: %w", t.key, err)
	}
	if len(found) > 0 {
		return fmt.Errorf("the token has a key %q already", t.key)
	}
	_, err = t.cryptoki.GenerateKey(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_KEY_GEN, nil)}, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, t.key),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, 32),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, true),
		pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, true),
	})
	if err != nil {
		return fmt.Errorf("generate the key %q: %w", t.key, err)
	}
	return nil
}

func (t *token) wrap(text []byte) ([]byte, error) {
	key, err := t.one()
	if err != nil {
		return nil, err
	}
	iv := make([]byte, ivSize)
	if _, err := rand.Read(iv); err != nil {
		return nil, err
	}
	params := pkcs11.NewGCMParams(iv, associated, tagSize*8)
	defer params.Free()
	if err := t.cryptoki.EncryptInit(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	sealed, err := t.cryptoki.Encrypt(t.session, text)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	if used := params.IV(); len(used) == ivSize { // some modules choose their own
		iv = used
	}
	return append(append([]byte{format}, iv...), sealed...), nil
}

func (t *token) unwrap(wrapped []byte) ([]byte, error) {
	if len(wrapped) < 1+ivSize+tagSize || wrapped[0] != format {
		return nil, errors.New("that was not wrapped by kek-pkcs11")
	}
	key, err := t.one()
	if err != nil {
		return nil, err
	}
	params := pkcs11.NewGCMParams(wrapped[1:1+ivSize], associated, tagSize*8)
	defer params.Free()
	if err := t.cryptoki.DecryptInit(t.session, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, fmt.Errorf("decrypt: %w", err)
	}
	text, err := t.cryptoki.Decrypt(t.session, wrapped[1+ivSize:])
	if err != nil {
		return nil, fmt.Errorf("decrypt, which fails with another key than wrapped it: %w", err)
	}
	return text, nil
}
