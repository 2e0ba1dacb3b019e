// SPDX-License-Identifier: Apache-2.0

package render

import (
	"strconv"

	"golang.org/x/net/html"
)

// said is text from anywhere: harmless for people by Escape, for browsers by the library.
func said(s string) *html.Node { return &html.Node{Type: html.TextNode, Data: Escape(s)} }

// element is an element with what is in it; no class when that is "".
func element(name, class string, in ...*html.Node) *html.Node {
	n := &html.Node{Type: html.ElementNode, Data: name}
	if class != "" {
		n.Attr = append(n.Attr, html.Attribute{Key: "class", Val: class})
	}
	for _, c := range in {
		n.AppendChild(c)
	}
	return n
}

// lined is the same with a line for each.
func lined(name, class string, in ...*html.Node) *html.Node {
	n := element(name, class)
	n.AppendChild(newline())
	for _, c := range in {
		n.AppendChild(c)
		n.AppendChild(newline())
	}
	return n
}

func newline() *html.Node { return &html.Node{Type: html.TextNode, Data: "\n"} }

// spanning is a cell over several columns.
func spanning(name, class string, columns int, in ...*html.Node) *html.Node {
	n := element(name, class, in...)
	n.Attr = append(n.Attr, html.Attribute{Key: "colspan", Val: strconv.Itoa(columns)})
	return n
}

// document is a whole page.
func document(title string, body []*html.Node) *html.Node {
	meta := func(attrs ...html.Attribute) *html.Node {
		return &html.Node{Type: html.ElementNode, Data: "meta", Attr: attrs}
	}
	style := element("style", "", &html.Node{Type: html.TextNode, Data: pageStyle})
	root := lined("html", "", lined("head", "", meta(html.Attribute{Key: "charset", Val: "utf-8"}),
		meta(html.Attribute{Key: "name", Val: "viewport"}, html.Attribute{Key: "content", Val: "width=device-width, initial-scale=1"}),
		element("title", "", said(title)), style), lined("body", "", body...))
	root.Attr = append(root.Attr, html.Attribute{Key: "lang", Val: "en"})
	doc := &html.Node{Type: html.DocumentNode}
	for _, n := range []*html.Node{{Type: html.DoctypeNode, Data: "html"}, newline(), root} {
		doc.AppendChild(n)
	}
	return doc
}
