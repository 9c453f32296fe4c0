// Reads from the sources which error codes there are: `new IopaError(status, 'code', detail)`, and calls of functions that pass their
// parameters on to it.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from '@typescript/typescript6'

export interface RaisedCode {
  readonly code: string
  /** Null where the status is computed. */
  readonly status: number | null
  readonly file: string
  readonly detail: string
}

/** Which argument of a function is the status, and which the code; a status that the function fixes itself is given as a number. */
interface Helper {
  readonly name: string
  readonly file: string
  readonly status: number | null
  readonly statusAt: number
  readonly codeAt: number
}

const packages = join(import.meta.dirname, '../packages')

const sources = (): ts.SourceFile[] =>
  readdirSync(packages).flatMap(folder =>
    readdirSync(join(packages, folder, 'src'), { recursive: true, encoding: 'utf8' })
      .filter(file => file.endsWith('.ts'))
      .map(file => {
        const path = join(packages, folder, 'src', file)
        return ts.createSourceFile(`${folder}/src/${file}`, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest, true)
      })
  )

/** The values that an expression may have, where they are literals. */
const literals = (node: ts.Expression | undefined): (string | number)[] => {
  if (node === undefined) return []
  if (ts.isStringLiteralLike(node)) return [node.text]
  if (ts.isNumericLiteral(node)) return [Number(node.text)]
  if (ts.isParenthesizedExpression(node)) return literals(node.expression)
  if (ts.isConditionalExpression(node)) return [...literals(node.whenTrue), ...literals(node.whenFalse)]
  return []
}

const nameOf = (node: ts.Node): string | undefined => {
  if ((ts.isFunctionDeclaration(node) || ts.isMethodDeclaration(node)) && node.name !== undefined) return node.name.getText()
  if ((ts.isArrowFunction(node) || ts.isFunctionExpression(node)) && ts.isVariableDeclaration(node.parent)) return node.parent.name.getText()
  return undefined
}

const enclosing = (node: ts.Node): ts.FunctionLikeDeclaration | undefined => {
  let at = node.parent
  while (at !== undefined && nameOf(at) === undefined) at = at.parent
  return at as ts.FunctionLikeDeclaration | undefined
}

const parameterAt = (owner: ts.FunctionLikeDeclaration, node: ts.Expression | undefined): number =>
  node === undefined || !ts.isIdentifier(node) ? -1 : owner.parameters.findIndex(parameter => parameter.name.getText() === node.text)

const imports = (source: ts.SourceFile, name: string): boolean =>
  source.statements.some(
    statement =>
      ts.isImportDeclaration(statement) &&
      statement.importClause?.namedBindings !== undefined &&
      ts.isNamedImports(statement.importClause.namedBindings) &&
      statement.importClause.namedBindings.elements.some(element => element.name.text === name)
  )

/** Calls that report a refusal: of a counter, and of what is given one. */
const REPORTS = /(?:\.refusal|#init\.refused|#report)$/

/** Every place that raises a code. */
export const raisedCodes = (): RaisedCode[] => {
  const files = sources()
  const raised: RaisedCode[] = []
  const helpers: Helper[] = []
  const seen = new Set<string>()

  const note = (node: ts.CallExpression | ts.NewExpression, source: ts.SourceFile, fixed: number | null, statusAt: number, codeAt: number): void => {
    const list = node.arguments ?? ts.factory.createNodeArray<ts.Expression>()
    const statuses = statusAt < 0 ? [fixed] : literals(list[statusAt])
    const codes = literals(list[codeAt])
    const detail = (list[codeAt + 1]?.getText() ?? '').replace(/\s+/g, ' ')
    // A conditional status beside a conditional code has the same condition.
    for (const [at, code] of codes.entries()) {
      const status = statuses.length === codes.length ? statuses[at] : statuses.length === 1 ? statuses[0] : null
      raised.push({ code: String(code), status: typeof status === 'number' ? status : null, file: source.fileName, detail })
    }
    const owner = enclosing(node)
    const name = owner && nameOf(owner)
    if (codes.length > 0 || owner === undefined || name === undefined) return
    const passed = parameterAt(owner, list[codeAt])
    if (passed < 0 || seen.has(`${source.fileName} ${name}`)) return
    seen.add(`${source.fileName} ${name}`)
    const one = statuses.length === 1 ? statuses[0] : null
    helpers.push({
      name,
      file: source.fileName,
      status: typeof one === 'number' ? one : null,
      statusAt: statusAt < 0 ? -1 : parameterAt(owner, list[statusAt]),
      codeAt: passed
    })
  }

  const each = (source: ts.SourceFile, visit: (node: ts.Node) => void): void => {
    const walk = (node: ts.Node): void => {
      visit(node)
      ts.forEachChild(node, walk)
    }
    walk(source)
  }

  for (const source of files) {
    each(source, node => {
      if (ts.isNewExpression(node) && node.expression.getText() === 'IopaError') note(node, source, null, 0, 1)
      // What is refused before there is a context is not always answered, but logged.
      if (ts.isCallExpression(node) && REPORTS.test(node.expression.getText())) note(node, source, null, 0, 1)
    })
  }
  // The list grows: a function that passes its parameters on to a helper is a helper itself.
  for (const { name, file, status, statusAt, codeAt } of helpers) {
    for (const source of files) {
      if (source.fileName !== file && !imports(source, name)) continue
      each(source, node => {
        if (!ts.isCallExpression(node)) return
        const called = ts.isPropertyAccessExpression(node.expression) ? node.expression.name.getText() : node.expression.getText()
        if (called === name) note(node, source, status, statusAt, codeAt)
      })
    }
  }
  return raised
}
