//! Tokens to expressions (Lua 5.1 reference manual, 2.5).

use std::rc::Rc;

use bytes::Bytes;

use super::ast::{Binary, Call, Constructor, Expr};
use super::lexer::Token;
use super::parser::{Parsed, Parser};

impl Parser<'_> {
    pub(super) fn expressions(&mut self) -> Parsed<Vec<Expr>> {
        let mut all = vec![self.expression()?];
        while self.accept(",")? {
            all.push(self.expression()?);
        }
        Ok(all)
    }

    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.operation(0)
    }

    /// An expression of operators that bind more than `limit`.
    fn operation(&mut self, limit: u8) -> Parsed<Expr> {
        self.nest(|parser| {
            let mut left = parser.operand()?;
            while let Token::Mark(mark) = parser.token {
                let known = OPERATORS.iter().find(|operator| operator.0 == mark);
                let Some(&(_, binds, passes, operator)) = known.filter(|operator| operator.1 > limit) else {
                    break;
                };
                let line = parser.line;
                parser.advance()?;
                let right = parser.operation(passes)?;
                let both = Box::new((left, right));
                left = match operator {
                    Operator::And => Expr::And(both),
                    Operator::Or => Expr::Or(both),
                    Operator::Binary(binary) => Expr::Binary(binary, both, line),
                };
                debug_assert!(binds > limit);
                parser.grow()?;
            }
            Ok(left)
        })
    }

    fn operand(&mut self) -> Parsed<Expr> {
        let line = self.line;
        let Token::Mark(mark) = self.token else {
            return self.simple();
        };
        let made: fn(Box<Expr>, u32) -> Expr = match mark {
            "not" => |of, _| Expr::Not(of),
            "-" => Expr::Negate,
            "#" => Expr::Length,
            _ => return self.simple(),
        };
        self.advance()?;
        let of = self.operation(UNARY_BINDS)?;
        self.grow()?;
        Ok(match of {
            Expr::Number(number) if mark == "-" => Expr::Number(-number),
            of => made(Box::new(of), line),
        })
    }

    fn simple(&mut self) -> Parsed<Expr> {
        let line = self.line;
        let made = match &self.token {
            Token::Number(number) => Expr::Number(*number),
            Token::Text(text) => Expr::Text(text.clone()),
            Token::Mark("nil") => Expr::Nil,
            Token::Mark("true") => Expr::Bool(true),
            Token::Mark("false") => Expr::Bool(false),
            Token::Mark("...") => match self.scopes.has_rest() {
                true => Expr::Rest,
                false => return self.unexpected("cannot use '...' outside a vararg function"),
            },
            Token::Mark("{") => return self.table(),
            Token::Mark("function") => {
                self.advance()?;
                return Ok(Expr::Function(Rc::new(self.function(false, line)?)));
            }
            Token::Name(_) | Token::Mark(_) | Token::End => return self.suffixed(),
        };
        self.advance()?;
        Ok(made)
    }

    /// A name or something in parentheses, with whatever is asked of it.
    pub(super) fn suffixed(&mut self) -> Parsed<Expr> {
        let line = self.line;
        let mut made = match &self.token {
            Token::Name(_) => {
                let name = self.name()?;
                self.variable(name)
            }
            Token::Mark("(") => {
                self.advance()?;
                let inner = self.expression()?;
                self.expect_end(")", "(", line)?;
                Expr::Single(Box::new(inner))
            }
            Token::Text(_) | Token::Number(_) | Token::Mark(_) | Token::End => {
                return self.unexpected("unexpected symbol");
            }
        };
        loop {
            let line = self.line;
            made = match &self.token {
                Token::Mark(".") => {
                    self.advance()?;
                    let field = Expr::Text(self.name()?);
                    Expr::Index(Box::new((made, field)), line)
                }
                Token::Mark("[") => {
                    self.advance()?;
                    let key = self.expression()?;
                    self.expect("]")?;
                    Expr::Index(Box::new((made, key)), line)
                }
                Token::Mark(":") => {
                    self.advance()?;
                    let method = self.name()?;
                    self.call(made, Some(method), line)?
                }
                Token::Mark("(" | "{") | Token::Text(_) => self.call(made, None, line)?,
                Token::Mark(_) | Token::Name(_) | Token::Number(_) | Token::End => return Ok(made),
            };
            self.grow()?;
        }
    }

    fn call(&mut self, function: Expr, method: Option<Bytes>, line: u32) -> Parsed<Expr> {
        let arguments = match &self.token {
            Token::Text(text) => {
                let text = Expr::Text(text.clone());
                self.advance()?;
                vec![text]
            }
            Token::Mark("{") => vec![self.nest(Self::table)?],
            Token::Mark("(") => {
                if self.last_line != self.line {
                    return self.unexpected("ambiguous syntax (function call x new statement)");
                }
                self.advance()?;
                let arguments = if self.is(")") {
                    Vec::new()
                } else {
                    self.expressions()?
                };
                self.expect_end(")", "(", line)?;
                arguments
            }
            Token::Mark(_) | Token::Name(_) | Token::Number(_) | Token::End => {
                return self.unexpected("function arguments expected");
            }
        };
        Ok(Expr::Call(Box::new(Call {
            line,
            function,
            method,
            arguments,
        })))
    }

    fn table(&mut self) -> Parsed<Expr> {
        let line = self.line;
        self.advance()?;
        let (mut items, mut pairs) = (Vec::new(), Vec::new());
        while !self.is("}") {
            if self.accept("[")? {
                let key = self.expression()?;
                self.expect("]")?;
                self.expect("=")?;
                pairs.push((key, self.expression()?));
            } else if matches!(self.token, Token::Name(_)) && self.lexer.is_before_assignment() {
                let key = Expr::Text(self.name()?);
                self.expect("=")?;
                pairs.push((key, self.expression()?));
            } else {
                items.push(self.expression()?);
            }
            if !self.accept(",")? && !self.accept(";")? {
                break;
            }
        }
        self.expect_end("}", "{", line)?;
        Ok(Expr::Table(Box::new(Constructor { items, pairs, line })))
    }
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    And,
    Or,
    Binary(Binary),
}

/// A sign, how much it binds what is before it, what may be behind it, and what it means.
const OPERATORS: [(&str, u8, u8, Operator); 15] = [
    ("or", 1, 1, Operator::Or),
    ("and", 2, 2, Operator::And),
    ("<", 3, 3, Operator::Binary(Binary::Less)),
    (">", 3, 3, Operator::Binary(Binary::Greater)),
    ("<=", 3, 3, Operator::Binary(Binary::LessEqual)),
    (">=", 3, 3, Operator::Binary(Binary::GreaterEqual)),
    ("~=", 3, 3, Operator::Binary(Binary::Unequal)),
    ("==", 3, 3, Operator::Binary(Binary::Equal)),
    ("..", 5, 4, Operator::Binary(Binary::Concat)),
    ("+", 6, 6, Operator::Binary(Binary::Add)),
    ("-", 6, 6, Operator::Binary(Binary::Subtract)),
    ("*", 7, 7, Operator::Binary(Binary::Multiply)),
    ("/", 7, 7, Operator::Binary(Binary::Divide)),
    ("%", 7, 7, Operator::Binary(Binary::Modulo)),
    ("^", 10, 9, Operator::Binary(Binary::Power)),
];
const UNARY_BINDS: u8 = 8;
