module github.com/doorward/doorward/testdata/vulnfixture

go 1.26.0

require github.com/golang-jwt/jwt/v5 v5.2.1
