/** What the value of a label is. */
export type LabelType = 'text' | 'number' | 'version' | 'boolean' | 'data'

interface Label {
  /** The key in CBOR (RFC 8428 table 4). */
  readonly key: number
  readonly type: LabelType
}

/** The labels of RFC 8428 section 4.3. */
export const LABELS: ReadonlyMap<string, Label> = new Map<string, Label>([
  ['bver', { key: -1, type: 'version' }],
  ['bn', { key: -2, type: 'text' }],
  ['bt', { key: -3, type: 'number' }],
  ['bu', { key: -4, type: 'text' }],
  ['bv', { key: -5, type: 'number' }],
  ['bs', { key: -6, type: 'number' }],
  ['n', { key: 0, type: 'text' }],
  ['u', { key: 1, type: 'text' }],
  ['v', { key: 2, type: 'number' }],
  ['vs', { key: 3, type: 'text' }],
  ['vb', { key: 4, type: 'boolean' }],
  ['s', { key: 5, type: 'number' }],
  ['t', { key: 6, type: 'number' }],
  ['ut', { key: 7, type: 'number' }],
  ['vd', { key: 8, type: 'data' }]
])

/** The labels by their keys in CBOR. */
export const LABELS_BY_KEY: ReadonlyMap<unknown, string> = new Map(Array.from(LABELS, ([label, { key }]) => [key, label]))
