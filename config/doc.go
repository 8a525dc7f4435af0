// Package config is the typed configuration: all settings, all defaults, where
// they come from and what makes them wrong. What they mean at run time is left
// to the packages whose Options they end up in.
package config
