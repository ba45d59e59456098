package main

func runFake(file string) (int, error) { panic("later") }
