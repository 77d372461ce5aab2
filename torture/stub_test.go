package torture_test

type proxy struct{}
type disk struct{}

func networkFaults() []fault { return nil }
func diskFaults() []fault    { return nil }
