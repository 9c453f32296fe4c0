/** A regex as a tree; an atom keeps its source, so that the engine itself says which characters it matches. */
export type RegexNode =
  | { readonly kind: 'atom'; readonly source: string }
  | { readonly kind: 'sequence'; readonly nodes: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly nodes: readonly RegexNode[] }
  | { readonly kind: 'repeat'; readonly node: RegexNode; readonly min: number; readonly max: number }

// A class escape, a control or identity escape, \xHH, \uHHHH, \u{...}, \p{...}: what stands for one character under the flag `u`.
const ESCAPE = /\\(?:[dDwWsStnrfv^$\\.*+?()[\]{}|/-]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|u\{[0-9A-Fa-f]+\}|[pP]\{[A-Za-z0-9_=]+\})/uy
const CLASS = /\[(?:[^\]\\]|\\.)*\]/uy
const QUANTIFIER = /(?:[*+?]|\{(\d+)(,(\d*))?\})\??/uy

/** Parses the part of the syntax that a constraint may use; throws with what to do about the rest. */
export const parseRegex = (source: string): RegexNode => {
  let at = 0

  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(source)
    if (match !== null) at += match[0].length
    return match
  }

  const choice = (): RegexNode => {
    const nodes = [sequence()]
    while (source[at] === '|') {
      at++
      nodes.push(sequence())
    }
    return nodes.length === 1 ? nodes[0]! : { kind: 'choice', nodes }
  }

  const sequence = (): RegexNode => {
    const nodes: RegexNode[] = []
    while (at < source.length && source[at] !== '|' && source[at] !== ')') nodes.push(quantified())
    return { kind: 'sequence', nodes }
  }

  const quantified = (): RegexNode => {
    const node = atom()
    const match = take(QUANTIFIER)
    if (match === null) return node
    const [text, least, comma, most] = match
    if (least === undefined) return { kind: 'repeat', node, min: text[0] === '+' ? 1 : 0, max: text[0] === '?' ? 1 : Number.POSITIVE_INFINITY }
    const min = Number(least)
    const max = comma === undefined ? min : most ? Number(most) : Number.POSITIVE_INFINITY
    if (max === 0) throw new Error('it repeats something no times; leave that out')
    return { kind: 'repeat', node, min, max }
  }

  const atom = (): RegexNode => {
    const char = String.fromCodePoint(source.codePointAt(at)!)
    if (char === '(') return group()
    if (char === '^' || char === '$') throw new Error('it always matches a whole segment; leave out "^" and "$"')
    if (char === '[' || char === '\\') {
      const match = take(char === '[' ? CLASS : ESCAPE)
      if (match === null)
        throw new Error(
          char === '[' ? 'its "[" is not closed' : `"${source.slice(at, at + 2)}" is not supported; neither are back references and \\b`
        )
      return { kind: 'atom', source: match[0] }
    }
    at += char.length
    return { kind: 'atom', source: char }
  }

  const group = (): RegexNode => {
    if (take(/\((?:\?:)?(?!\?)/uy) === null) throw new Error('of the groups that begin with "(?" only (?:...) is supported')
    const node = choice()
    if (source[at++] !== ')') throw new Error('its "(" is not closed')
    return node
  }

  const node = choice()
  if (at < source.length) throw new Error('its ")" has no "(" before it')
  return node
}
