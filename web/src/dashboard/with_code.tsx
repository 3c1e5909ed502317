// Renders messages of the service, in which names are between backticks.

/** Shows what is between backticks as code. */
export function WithCode({ text }: { text: string }) {
  return <>{text.split('`').map((part, index) => (index % 2 === 0 ? part : <code key={index}>{part}</code>))}</>;
}
