package hostinfo

var ModelOf = modelOf
