/**
 * The parameters a pattern names, each a string, those of optional segments possibly undefined:
 * `PathParams<'/lights/{id:[0-9]+}/{part}?'>` is `{ readonly id: string; readonly part?: string | undefined }`.
 * Of a pattern that is not a literal nothing is known but that values are strings.
 */
export type PathParams<Pattern extends string> = string extends Pattern ? Readonly<Record<string, string | undefined>> : Named<Names<Pattern>>

/** A union of names, optional ones with a `?` behind, as an object type. */
type Named<Name extends string> = {
  readonly [Key in Name as Key extends `${string}?` ? never : Key]: string
} & {
  readonly [Key in Name as Key extends `${infer Bare}?` ? Bare : never]?: string | undefined
} extends infer Params
  ? { readonly [Key in keyof Params]: Params[Key] }
  : never

/** Braces come first, for a regex may hold a `/`. What stands right behind a brace is text, as in `{name}:cancel`; a `.` before it keeps it one. */
type Names<Pattern extends string> = Pattern extends `${infer Before}{${infer After}`
  ? Close<After> extends [infer Body extends string, infer Rest extends string]
    ? NamesOfColons<Before, Mark<Rest>> | (EndsInColonName<Before> extends true ? never : Marked<BraceName<Body>, Mark<Rest>>) | Names<`.${Rest}`>
    : never
  : NamesOfColons<Pattern, ''>

/** Splits behind the brace that closes what is open: `[body, rest]`. */
type Close<Text extends string, Taken extends string = '', Open extends unknown[] = []> = Text extends `${infer Body}}${infer Rest}`
  ? [...Open, ...Opened<Body>] extends [unknown, ...infer Left]
    ? Close<Rest, `${Taken}${Body}}`, Left>
    : [`${Taken}${Body}`, Rest]
  : never

/** One element for each brace that is opened. */
type Opened<Text extends string> = Text extends `${string}{${infer Rest}` ? [unknown, ...Opened<Rest>] : []

type BraceName<Body extends string> = Body extends `${infer Name}:${string}` ? Name : Body extends `${infer Name}*` ? Name : Body

/** `:name`, `:name?` and `*` in text without braces; what follows the text marks the last of them, as in `:name{regex}?`. */
type NamesOfColons<Text extends string, Last extends string> = Text extends `${infer Segment}/${infer Rest}`
  ? NameOfColon<Segment, ''> | NamesOfColons<Rest, Last>
  : NameOfColon<Text, Last>

type NameOfColon<Segment extends string, Last extends string> = Segment extends `:${infer Name}`
  ? Marked<Name, Last>
  : Segment extends '*' | '*?'
    ? Segment
    : never

type EndsInColonName<Text extends string> = Text extends `${string}/${infer Rest}` ? EndsInColonName<Rest> : Text extends `:${string}` ? true : false

type Mark<Rest extends string> = Rest extends `?${string}` ? '?' : ''

type Marked<Name extends string, Last extends string> = Name extends '' ? never : `${Name}${Last}`
