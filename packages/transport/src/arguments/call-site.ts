/**
 * The place of the call of `method`, as `file:line`; empty if the engine does not provide it.
 * The trace is captured now and only read on request, which is what costs.
 */
export const callSite = (method: unknown): (() => string) => {
  const holder: { stack?: string } = {}
  const capture = (Error as { captureStackTrace?: (target: object, above: unknown) => void }).captureStackTrace
  if (capture !== undefined) capture.call(Error, holder, method)
  return () => {
    const line = holder.stack?.split('\n').find(text => /^\s+at /.test(text))
    // `at name (file:line:column)`, or `at file:line:column` at the top of a module.
    return line === undefined ? '' : line.replace(/^\s+at (?:async )?(?:.*\()?/, '').replace(/:\d+\)?$/, '')
  }
}
