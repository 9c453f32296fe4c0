// What the linter does not say about the style of this repository (CONTRIBUTING.md, "Where things live").
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from '@typescript/typescript6'
import { describe, expect, test } from 'vitest'

const root = join(import.meta.dirname, '..')
const FOLDERS = ['packages', 'examples', 'test', 'scripts', 'benchmarks']
const MOST_LINES = 300

const WORDS = /\b(?:whoever|somebody|anew|nobody's|what becomes of|is told|mends?)\b/i

interface File {
  readonly path: string
  readonly text: string
}

const files: File[] = FOLDERS.flatMap(folder =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map(name => `${folder}/${name}`)
)
  .filter(path => /\.(?:ts|js|mjs)$/.test(path) && !/node_modules|\/dist\/|\/\.shown\/|api\.d\.ts$/.test(path))
  .map(path => ({ path, text: readFileSync(join(root, path), 'utf8') }))

const named = (list: readonly File[]): string[] => list.map(({ path }) => path)
const commentsOf = (text: string): string[] => [...text.matchAll(/^\s*(?:\/\/|\/?\*).*|\s\/\/ .*/gm)].map(([comment]) => comment)

const ASSIGNMENTS = ['FirstAssignment', 'LastAssignment'] as const

/** Private fields that nothing assigns outside a constructor, and that are not readonly. Linters miss `??=` and other instances. */
const neverReassigned = ({ path, text }: File): string[] => {
  const fields = new Map<string, string>()
  const written = new Set<string>()
  const [first, last] = ASSIGNMENTS.map(name => ts.SyntaxKind[name]) as [number, number]
  const target = (node: ts.Node, constructing: boolean): void => {
    if (ts.isPropertyAccessExpression(node) && ts.isPrivateIdentifier(node.name)) {
      if (!constructing || node.expression.kind !== ts.SyntaxKind.ThisKeyword) written.add(node.name.text)
    } else if (ts.isArrayLiteralExpression(node) || ts.isObjectLiteralExpression(node)) {
      ts.forEachChild(node, child => target(ts.isPropertyAssignment(child) ? child.initializer : child, constructing))
    }
  }
  const visit = (node: ts.Node, constructing: boolean): void => {
    if (
      ts.isPropertyDeclaration(node) &&
      ts.isPrivateIdentifier(node.name) &&
      !node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ReadonlyKeyword)
    ) {
      fields.set(node.name.text, `${path}: ${node.name.text}`)
    }
    if (ts.isBinaryExpression(node) && node.operatorToken.kind >= first && node.operatorToken.kind <= last) target(node.left, constructing)
    if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
      if (node.operator === ts.SyntaxKind.PlusPlusToken || node.operator === ts.SyntaxKind.MinusMinusToken) target(node.operand, constructing)
    }
    const inside = ts.isConstructorDeclaration(node) || (constructing && !ts.isFunctionLike(node))
    ts.forEachChild(node, child => visit(child, inside))
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true), false)
  return [...fields].flatMap(([name, found]) => (written.has(name) ? [] : [found]))
}

describe('the style of the sources', () => {
  test(`a source file has at most ${MOST_LINES} lines`, () => {
    const sources = files.filter(({ path }) => !/(?:^|\/)test\//.test(path))
    expect(named(sources.filter(({ text }) => text.split('\n').length - 1 > MOST_LINES))).toEqual([])
  })

  test('comments use plain words', () => {
    const found = files.filter(({ path }) => path !== 'test/style.test.ts')
    expect(
      found.flatMap(({ path, text }) => commentsOf(text).flatMap(comment => (WORDS.test(comment) ? [`${path}: ${comment.trim()}`] : [])))
    ).toEqual([])
  })

  test('a private field that is never reassigned is readonly', () => {
    const sources = files.filter(({ path, text }) => path.endsWith('.ts') && /^\s*(?:static )?#\w+[:= ]/m.test(text))
    expect(sources.flatMap(neverReassigned)).toEqual([])
  })

  test('tests use test()', () => {
    const tests = files.filter(({ path }) => path.endsWith('.test.ts'))
    expect(named(tests.filter(({ text }) => /^\s*it(?:\.\w+)*\(/m.test(text)))).toEqual([])
  })
})

describe('a private field', () => {
  const found = (members: string): string[] => neverReassigned({ path: 'a.ts', text: `class A { ${members} }` })

  test('is found if only its constructor assigns it', () => {
    expect(found('#a = 1; constructor() { this.#a = 2 }')).toEqual(['a.ts: #a'])
  })

  test.each(['this.#a = 1', 'this.#a ??= 1', 'this.#a++', 'other.#a = 1', '[this.#a] = list', '({ a: this.#a } = object)'])(
    'is not reported with %s in a method',
    text => {
      expect(found(`#a = 1; set() { ${text} }`)).toEqual([])
    }
  )
})

describe('commentsOf', () => {
  test('returns the lines after two slashes and in blocks, without addresses', () => {
    const text = ["const url = 'http://a' // one", '/** two', ' * three', ' */', '// four', 'call()'].join('\n')
    expect(commentsOf(text).map(comment => comment.replace(/\W/g, ''))).toEqual(['one', 'two', 'three', '', 'four'])
  })
})
