/**
 * Two profiles as `apparmor_parser -S` (3.0, ABI 3.0) makes them of
 *
 *     profile kvmsec-guarded /usr/bin/kvmsec-guarded { }
 *     profile kvmsec-watched /usr/bin/kvmsec-watched flags=(complain) { profile inner { } }
 *
 * packed by gzip, in base64: guests of the tests have no parser.
 */
export const apparmorProfiles = `
H4sIAAAAAAACA+2YaVPTUBSG37RpkpbSnZZFERFUkMUFcUVZ3AVXPjuTgRYZsTAtIj/VD/4Y33tzm1QgFQvpOJKTOc1yT24m5zz3
vrfRLeyVa/XN7SoiMQC6hZ3admVzqwwzlsaXva/18trkxje7tl5eh27AttcrNoyfIpg28Gl/jrteIPYDqG7vVrbK+6JBg+5EoA/B
mwazo88DIn98nnbojtbtzTFGU4zzHN1ta+/9rMb9mhFgVrLyHQwkAs5+gfXOoIg0SsiRPovXuujdiKuIGDOWQhRJ5NGD0Pws2hEu
MpLlmFudoCxP9tKsd4psZMmGyWuCxaQkxBlHUVISIS05UhSa3/RWErkyUNmyN+owI+7kJH+sA+fyRzexZu/UZ2cOhTv3WPqxtOa7
vbv2OdSa4LUGSlu0ppjoKWuN/h9oTV5qTY/Uml7OK620JpxTjqc1QXLRKa3JSa0pSK0pkY9WWpMlRaH9jdZoJ9IaTzxK3vTg6Uci
46Mfq2cx/T66cHpj1DzT+e3k+mC15brF20fcGdk5TtHTR8RG3DWBw0PjP0JczXUZpcM5qYJOuym10euzqykmr/aWur9bXROqKf6l
Fekj9PP0QfqFJh+iX1RtjeNhV6O9PkbVtVv0Wfpl+l36pDq/qs4nlItnPlDxC8pF+zx98cB6yC+/3dJT/xgX3jpsMXACE7LOqSO2
DKs/yAoOMaMLzOhK2+uwArnLYYCVH8Yl1nMEU5zNk5gmc1GyJtZhFhkQetxHFvtxjrSMkoArrPoYxnGNFb+OG7jJas/gNnm4w1rf
w30S8BBzeITHWGK/T/AUz/AcL/ASr/Aay3iDt3iH9/iAj5KQ0E6y/mvw2OUzmk46kjRyEGfvR22i9wFJhlPv5bbXmVlylyaBDt1j
9HHSlyBlMb5pUr6vQWIFuUWyKajsV/SOuFxOkOQpMuzH5TzHzNIhIld+IzK0dqbHlh8kigc+SExPb1ar5dppfxT5BXKqwg+BFwAA
`;
